// A client of the official Go SDK: see README.md of the folder above.
//
//	client URL TOKEN-FILE
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type bearer struct{ token string }

func (b bearer) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	if b.token != "" {
		request.Header.Set("Authorization", "Bearer "+b.token)
	}
	return http.DefaultTransport.RoundTrip(request)
}

type line map[string]any

func say(line line) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

type step struct {
	Do        string
	Tool      string
	Arguments map[string]any
	Progress  bool
	Seconds   int
}

func list(ctx context.Context, session *mcp.ClientSession) line {
	listed, err := session.ListTools(ctx, nil)
	if err != nil {
		return line{"thrown": err.Error()}
	}
	names := []string{}
	for _, tool := range listed.Tools {
		names = append(names, tool.Name)
	}
	return line{"tools": names}
}

func call(ctx context.Context, session *mcp.ClientSession, step step) line {
	params := &mcp.CallToolParams{Name: step.Tool, Arguments: step.Arguments}
	if step.Progress {
		params.Meta = mcp.Meta{"progressToken": "go-1"}
	}
	if step.Seconds > 0 {
		limited, cancel := context.WithTimeout(ctx, time.Duration(step.Seconds)*time.Second)
		defer cancel()
		ctx = limited
	}
	result, err := session.CallTool(ctx, params)
	if err != nil {
		return line{"thrown": err.Error()}
	}
	text := ""
	if block, ok := result.Content[0].(*mcp.TextContent); ok {
		text = block.Text
	}
	return line{"text": text, "error": result.IsError}
}

func main() {
	token, err := os.ReadFile(os.Args[2])
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	options := &mcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, told *mcp.ProgressNotificationClientRequest) {
			say(line{"progress": told.Params.Message})
		},
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "test-client", Version: "1"}, options)
	authorized := &http.Client{Transport: bearer{strings.TrimSpace(string(token))}}
	transport := &mcp.StreamableClientTransport{Endpoint: os.Args[1], HTTPClient: authorized}
	session, err := client.Connect(ctx, transport, nil)
	if err != nil {
		say(line{"thrown": err.Error()})
		return
	}
	defer session.Close()
	say(line{"connected": session.InitializeResult().ProtocolVersion})
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		var step step
		if err := json.Unmarshal(input.Bytes(), &step); err != nil {
			panic(err)
		}
		if step.Do == "list" {
			say(list(ctx, session))
		} else {
			say(call(ctx, session, step))
		}
	}
}
