module example.com/shop

go 1.26.0

require (
	connectrpc.com/connect v0.0.0
	github.com/beego/beego/v2 v2.0.0
	github.com/dghubble/sling v1.0.0
	github.com/emicklei/go-restful/v3 v3.0.0
	github.com/gin-gonic/gin v0.0.0
	github.com/go-resty/resty/v2 v2.0.0
	github.com/gofiber/fiber/v2 v2.0.0
	github.com/gofiber/fiber/v3 v3.0.0
	github.com/gojek/heimdall/v7 v7.0.0
	github.com/hashicorp/go-retryablehttp v0.0.0
	github.com/imroc/req/v3 v3.0.0
	github.com/labstack/echo/v4 v4.0.0
	github.com/labstack/echo/v5 v5.0.0
	github.com/parnurzeal/gorequest v0.0.0
	github.com/spf13/cobra v0.0.0
	github.com/tracebaton/tracebaton v0.0.0
	github.com/valyala/fasthttp v0.0.0
	go.opentelemetry.io/contrib v0.0.0
	go.opentelemetry.io/otel v0.0.0
	golang.org/x/net v0.0.0
	golang.org/x/sync v0.0.0
	google.golang.org/grpc v0.0.0
	resty.dev/v3 v3.0.0
	sigs.k8s.io/controller-runtime v0.0.0
)
