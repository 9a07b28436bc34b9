package web

import "github.com/beego/beego/v2/server/web/context"

type Controller struct{ Ctx *context.Context }
