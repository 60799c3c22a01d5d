// A client of the official Java SDK: see README.md of the folder above.
//
//     java -cp 'LIBRARIES/*:CLASSES' Client URL TOKEN-FILE

import io.modelcontextprotocol.client.McpAsyncClient;
import io.modelcontextprotocol.client.McpClient;
import io.modelcontextprotocol.client.transport.HttpClientStreamableHttpTransport;
import io.modelcontextprotocol.json.McpJsonMapper;
import io.modelcontextprotocol.spec.McpSchema;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpRequest;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import reactor.core.Exceptions;
import reactor.core.publisher.Mono;

public class Client {
    private static final McpJsonMapper JSON = Json.mapper();
    private static final Duration PATIENCE = Duration.ofSeconds(75);

    private static synchronized void say(Object... members) {
        Map<String, Object> line = new LinkedHashMap<>();
        for (int at = 0; at < members.length; at += 2) {
            line.put((String) members[at], members[at + 1]);
        }
        try {
            System.out.println(JSON.writeValueAsString(line));
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    /** What a person would read at the heads of a stack trace and of its causes. */
    private static String words(Throwable error) {
        StringBuilder words = new StringBuilder();
        for (Throwable at = Exceptions.unwrap(error); at != null; at = at.getCause()) {
            words.append(words.isEmpty() ? "" : " <- ").append(at.getClass().getSimpleName()).append(": ").append(at.getMessage());
        }
        return words.toString();
    }

    @SuppressWarnings({"deprecation", "unchecked"})
    private static void call(McpAsyncClient client, Map<String, Object> step) {
        Map<String, Object> meta = Boolean.TRUE.equals(step.get("progress")) ? Map.of("progressToken", "java-1") : Map.of();
        Duration patience = step.get("seconds") instanceof Number seconds ? Duration.ofSeconds(seconds.longValue()) : PATIENCE;
        McpSchema.CallToolResult result = client
            .callTool(new McpSchema.CallToolRequest((String) step.get("tool"), (Map<String, Object>) step.get("arguments"), meta))
            .block(patience);
        String text = ((McpSchema.TextContent) result.content().get(0)).text();
        say("text", text, "error", Boolean.TRUE.equals(result.isError()));
    }

    @SuppressWarnings("unchecked")
    private static void follow(McpAsyncClient client) throws Exception {
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            Map<String, Object> step = JSON.readValue(line, Map.class);
            try {
                if (step.get("do").equals("list")) {
                    say("tools", client.listTools().block(PATIENCE).tools().stream().map(McpSchema.Tool::name).toList());
                } else {
                    call(client, step);
                }
            } catch (Exception error) {
                say("thrown", words(error));
            }
        }
    }

    @SuppressWarnings("deprecation")
    public static void main(String[] arguments) throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder();
        String token = Files.readString(Path.of(arguments[1])).strip();
        if (!token.isEmpty()) {
            request.header("Authorization", "Bearer " + token);
        }
        URI url = URI.create(arguments[0]);
        HttpClientStreamableHttpTransport transport = HttpClientStreamableHttpTransport
            .builder(url.getScheme() + "://" + url.getAuthority())
            .endpoint(url.getPath())
            .requestBuilder(request)
            .build();
        McpAsyncClient client = McpClient.async(transport)
            .clientInfo(new McpSchema.Implementation("test-client", "1"))
            .requestTimeout(PATIENCE)
            .progressConsumer(told -> Mono.fromRunnable(() -> say("progress", told.message())))
            .build();
        try {
            say("connected", client.initialize().block(PATIENCE).protocolVersion());
            follow(client);
            client.closeGracefully().block(PATIENCE);
        } catch (Exception error) {
            say("thrown", words(error));
        }
        System.exit(0);
    }
}
