import io.modelcontextprotocol.json.McpJsonMapper;

/** The JSON of SDK 0.17. */
class Json {
    static McpJsonMapper mapper() {
        return McpJsonMapper.getDefault();
    }
}
