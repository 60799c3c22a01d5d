// A client of the official Java SDK 0.17.2, whose newest revision is 2025-06-18, against a gateway:
// connects, lists, and makes three calls. Prints one JSON object a line; the test reads them.
//
//     java -cp 'LIBRARIES/*' Client.java URL TOKEN

import com.fasterxml.jackson.databind.ObjectMapper;
import io.modelcontextprotocol.client.McpClient;
import io.modelcontextprotocol.client.transport.HttpClientStreamableHttpTransport;
import io.modelcontextprotocol.spec.McpSchema;
import java.net.URI;
import java.net.http.HttpRequest;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;

public class Client {
    private static final ObjectMapper JSON = new ObjectMapper();

    private static synchronized void say(Object... members) {
        Map<String, Object> line = new LinkedHashMap<>();
        for (int at = 0; at < members.length; at += 2) {
            line.put((String) members[at], members[at + 1]);
        }
        try {
            System.out.println(JSON.writeValueAsString(line));
        } catch (Exception fault) {
            throw new IllegalStateException(fault);
        }
    }

    private static void call(io.modelcontextprotocol.client.McpSyncClient client, String step, String name, int replicas) {
        boolean waits = step.equals("waited");
        if (waits) {
            say("step", "waiting");
        }
        Map<String, Object> arguments = Map.of("namespace", "storefront", "name", name, "replicas", replicas);
        Map<String, Object> meta = waits ? Map.of("progressToken", "java-1") : Map.of();
        McpSchema.CallToolResult result = client.callTool(new McpSchema.CallToolRequest("deployment_scale", arguments, meta));
        String text = ((McpSchema.TextContent) result.content().get(0)).text();
        say("step", step, "error", Boolean.TRUE.equals(result.isError()), "text", text);
    }

    public static void main(String[] words) {
        HttpRequest.Builder request = HttpRequest.newBuilder().header("Authorization", "Bearer " + words[1]);
        URI url = URI.create(words[0]);
        HttpClientStreamableHttpTransport transport = HttpClientStreamableHttpTransport
            .builder(url.getScheme() + "://" + url.getAuthority())
            .endpoint(url.getPath())
            .requestBuilder(request)
            .build();
        try (io.modelcontextprotocol.client.McpSyncClient client = McpClient.sync(transport)
                .clientInfo(new McpSchema.Implementation("old-java", "1"))
                .requestTimeout(Duration.ofSeconds(60))
                .progressConsumer(told -> say("step", "progress", "text", told.message()))
                .build()) {
            McpSchema.InitializeResult connected = client.initialize();
            say("step", "connected", "revision", connected.protocolVersion());
            say("step", "listed", "tools", client.listTools().tools().stream().map(McpSchema.Tool::name).toList());
            call(client, "allowed", "web", 5);
            call(client, "denied", "web", 40);
            call(client, "waited", "api", 0);
        } catch (Exception fault) {
            say("step", "failed", "text", String.valueOf(fault));
            System.exit(1);
        }
    }
}
