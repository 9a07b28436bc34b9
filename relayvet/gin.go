package relayvet

import "go/types"

func (p *pkg) gin() {}

func ginLike(t types.Type) bool { return named(t) == "github.com/gin-gonic/gin.Context" }
