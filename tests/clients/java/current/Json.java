import io.modelcontextprotocol.json.McpJsonDefaults;
import io.modelcontextprotocol.json.McpJsonMapper;

/** The JSON of SDK 2. */
class Json {
    static McpJsonMapper mapper() {
        return McpJsonDefaults.getMapper();
    }
}
