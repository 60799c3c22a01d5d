//! `server/discover` and `tools/list`.

use crate::front::FakeFront;
use crate::wire::{Request, Server, send_all};
use expect_test::expect;
use serde_json::{Value, json};

#[tokio::test]
async fn what_the_server_is() {
    let server = Server::start(FakeFront::default()).await;
    expect![[r#"
        200
        {
          "id": 7,
          "jsonrpc": "2.0",
          "result": {
            "_meta": {
              "io.modelcontextprotocol/serverInfo": {
                "name": "cofferdam",
                "title": "Cofferdam (staging)",
                "version": "0.1.0"
              }
            },
            "cacheScope": "private",
            "capabilities": {
              "completions": {},
              "extensions": {
                "io.modelcontextprotocol/tasks": {}
              },
              "prompts": {},
              "resources": {
                "subscribe": true
              },
              "tools": {
                "listChanged": true
              }
            },
            "instructions": "Changes to staging, decided by policy.",
            "resultType": "complete",
            "supportedVersions": [
              "2026-07-28",
              "2025-11-25",
              "2025-06-18",
              "2025-03-26"
            ],
            "ttlMs": 300000
          }
        }
    "#]]
    .assert_eq(&server.send(&Request::modern("server/discover", json!({}))).await.pretty());
}

#[tokio::test]
async fn one_page() {
    let server = Server::start(FakeFront::default()).await;
    expect![[r##"
        200
        {
          "id": 7,
          "jsonrpc": "2.0",
          "result": {
            "_meta": {
              "io.modelcontextprotocol/serverInfo": {
                "name": "cofferdam",
                "title": "Cofferdam (staging)",
                "version": "0.1.0"
              }
            },
            "cacheScope": "private",
            "resultType": "complete",
            "tools": [
              {
                "annotations": {
                  "openWorldHint": false,
                  "readOnlyHint": true
                },
                "description": "Lists your own calls in staging, newest first: id, tool, object, state, time, outcome, and what to do next. Use it to find a call whose answer you did not get.",
                "inputSchema": {
                  "additionalProperties": false,
                  "properties": {
                    "limit": {
                      "default": 20,
                      "maximum": 50,
                      "minimum": 1,
                      "type": "integer"
                    },
                    "open": {
                      "default": false,
                      "description": "Only calls that have not ended.",
                      "type": "boolean"
                    }
                  },
                  "type": "object"
                },
                "name": "calls_list",
                "outputSchema": {
                  "properties": {
                    "pending": {
                      "type": "object"
                    }
                  },
                  "type": "object"
                },
                "title": "List your calls"
              },
              {
                "annotations": {
                  "destructiveHint": false,
                  "idempotentHint": true,
                  "openWorldHint": false
                },
                "description": "Withdraws one of your own calls in staging before it acts. A call that acts already runs to its end.",
                "inputSchema": {
                  "additionalProperties": false,
                  "properties": {
                    "id": {
                      "description": "The call's id, as every result names it.",
                      "pattern": "^[a-z2-7]{26}$",
                      "type": "string"
                    }
                  },
                  "required": [
                    "id"
                  ],
                  "type": "object"
                },
                "name": "job_cancel",
                "outputSchema": {
                  "properties": {
                    "pending": {
                      "type": "object"
                    }
                  },
                  "type": "object"
                },
                "title": "Withdraw a call"
              },
              {
                "annotations": {
                  "openWorldHint": false,
                  "readOnlyHint": true
                },
                "description": "Reports the state of one of your own calls in staging: waiting for a person, in progress, or finished with its result.",
                "inputSchema": {
                  "additionalProperties": false,
                  "properties": {
                    "id": {
                      "description": "The call's id, as every result names it.",
                      "pattern": "^[a-z2-7]{26}$",
                      "type": "string"
                    },
                    "wait_seconds": {
                      "default": 0,
                      "description": "Hold the answer up to this long for the call to end.",
                      "maximum": 45,
                      "minimum": 0,
                      "type": "integer"
                    }
                  },
                  "required": [
                    "id"
                  ],
                  "type": "object"
                },
                "name": "job_get",
                "outputSchema": {
                  "properties": {
                    "pending": {
                      "type": "object"
                    }
                  },
                  "type": "object"
                },
                "title": "Follow a call"
              },
              {
                "annotations": {
                  "openWorldHint": false,
                  "readOnlyHint": true
                },
                "description": "Previews a call of another tool in staging: plan, difference, rights and decision. Changes nothing. A later call is decided again.",
                "inputSchema": {
                  "additionalProperties": false,
                  "properties": {
                    "arguments": {
                      "description": "Its arguments, as its own input schema describes them.",
                      "type": "object"
                    },
                    "tool": {
                      "description": "Name of the tool.",
                      "type": "string"
                    }
                  },
                  "required": [
                    "tool"
                  ],
                  "type": "object"
                },
                "name": "preview",
                "outputSchema": {
                  "properties": {
                    "pending": {
                      "type": "object"
                    }
                  },
                  "type": "object"
                },
                "title": "Preview a call"
              },
              {
                "annotations": {
                  "idempotentHint": true,
                  "openWorldHint": false
                },
                "description": "Does scale in staging.",
                "inputSchema": {
                  "properties": {
                    "purpose": {
                      "maxLength": 300,
                      "type": "string"
                    }
                  },
                  "type": "object"
                },
                "name": "scale",
                "outputSchema": {
                  "$defs": {
                    "n": {
                      "type": "integer"
                    }
                  },
                  "properties": {
                    "pending": {
                      "type": "object"
                    },
                    "replicas": {
                      "$ref": "#/$defs/n"
                    }
                  },
                  "type": "object"
                },
                "title": "Tool scale"
              }
            ],
            "ttlMs": 30000
          }
        }
    "##]].assert_eq(&server.send(&Request::modern("tools/list", json!({}))).await.pretty());
}

#[tokio::test]
async fn all_pages_hold_every_tool_once() {
    let server = Server::start(FakeFront { extra: 120, ..FakeFront::default() }).await;
    let (mut names, mut sizes, mut cursor) = (Vec::new(), Vec::new(), Value::Null);
    loop {
        let params = if cursor.is_null() { json!({}) } else { json!({"cursor": cursor}) };
        let page = server.send(&Request::modern("tools/list", params)).await.json();
        assert_eq!(page["result"]["cacheScope"], "private");
        let tools = page["result"]["tools"].as_array().unwrap();
        sizes.push(tools.len());
        names.extend(tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()));
        cursor = page["result"]["nextCursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(sizes, [50, 50, 25]);
    let mut sorted = names.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(names, sorted, "in order, none twice");
}

#[tokio::test]
async fn an_exact_page_has_no_next() {
    // 45, `scale` and the four built-in tools are fifty.
    let server = Server::start(FakeFront { extra: 45, ..FakeFront::default() }).await;
    let page = server.send(&Request::modern("tools/list", json!({}))).await.json();
    assert_eq!(page["result"]["tools"].as_array().unwrap().len(), 50);
    assert_eq!(page["result"].get("nextCursor"), None);
}

#[tokio::test]
async fn cursors_of_others() {
    let server = Server::start(FakeFront::default()).await;
    let list = |cursor: Value| Request::modern("tools/list", json!({"cursor": cursor}));
    let rows = vec![
        ("empty", list(json!(""))),
        ("invented", list(json!("page-2"))),
        ("base64 of something else", list(json!("cGFnZTI"))),
        ("a number", list(json!(2))),
        ("null", list(json!(null))),
        ("after the last", list(json!("YWZ0ZXI6enp6"))),
    ];
    expect![[r#"
        empty: 200 ok
        invented: 200 -32602 id 7: invalid params: `cursor` is not one that this server gave; list from the beginning
        base64 of something else: 200 -32602 id 7: invalid params: `cursor` is not one that this server gave; list from the beginning
        a number: 200 -32602 id 7: invalid params: `cursor` must be a string
        null: 200 ok
        after the last: 200 ok
    "#]]
    .assert_eq(&send_all(&server, rows).await);
}
