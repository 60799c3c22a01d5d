// A client of the Go SDK 1.1.0, whose newest revision is 2025-06-18, against a gateway: connects,
// lists, and makes three calls. Prints one JSON object a line; the test reads them.
//
//	client URL TOKEN
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type bearer struct{ token string }

func (b bearer) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Bearer "+b.token)
	return http.DefaultTransport.RoundTrip(request)
}

func say(line map[string]any) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

func main() {
	url, token := os.Args[1], os.Args[2]
	ctx := context.Background()
	options := &mcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, told *mcp.ProgressNotificationClientRequest) {
			say(map[string]any{"step": "progress", "text": told.Params.Message})
		},
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "old-go", Version: "1"}, options)
	transport := &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: &http.Client{Transport: bearer{token}}}
	session, err := client.Connect(ctx, transport, nil)
	if err != nil {
		say(map[string]any{"step": "failed", "text": err.Error()})
		os.Exit(1)
	}
	say(map[string]any{"step": "connected", "revision": session.InitializeResult().ProtocolVersion})
	listed, err := session.ListTools(ctx, nil)
	if err != nil {
		say(map[string]any{"step": "failed", "text": err.Error()})
		os.Exit(1)
	}
	names := []string{}
	for _, tool := range listed.Tools {
		names = append(names, tool.Name)
	}
	say(map[string]any{"step": "listed", "tools": names})
	for _, step := range []struct {
		name, target string
		replicas     int
	}{{"allowed", "web", 5}, {"denied", "web", 40}, {"waited", "api", 0}} {
		arguments := map[string]any{"namespace": "storefront", "name": step.target, "replicas": step.replicas}
		params := &mcp.CallToolParams{Name: "deployment_scale", Arguments: arguments}
		if step.name == "waited" {
			say(map[string]any{"step": "waiting"})
			params.Meta = mcp.Meta{"progressToken": "go-1"}
		}
		result, err := session.CallTool(ctx, params)
		if err != nil {
			say(map[string]any{"step": "failed", "text": err.Error()})
			os.Exit(1)
		}
		text := ""
		if block, ok := result.Content[0].(*mcp.TextContent); ok {
			text = block.Text
		}
		say(map[string]any{"step": step.name, "error": result.IsError, "text": text})
	}
}
