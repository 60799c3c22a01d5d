//! Every rule of strict JSON, on both endpoints, on the original bytes.

use crate::front::FakeFront;
use crate::wire::{Request, Server, send_all};
use expect_test::expect;
use serde_json::json;

/// A valid call whose arguments are these bytes.
fn arguments(text: &[u8]) -> Request {
    let mut body = br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"scale","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},"arguments":"#.to_vec();
    body.extend_from_slice(text);
    body.extend_from_slice(b"}}");
    Request::call("scale", json!({})).body(body)
}

fn cases() -> Vec<(&'static str, Vec<u8>)> {
    let nested =
        |depth: usize| [b"{\"a\":".repeat(depth), b"1".to_vec(), b"}".repeat(depth)].concat();
    vec![
        ("a key twice", br#"{"a":1,"a":2}"#.to_vec()),
        ("a key twice, one escaped", br#"{"a":1,"\u0061":2}"#.to_vec()),
        ("a key twice, deep", br#"{"x":[{"a":1,"a":1}]}"#.to_vec()),
        ("2^53 - 1", br#"{"a":9007199254740991}"#.to_vec()),
        ("2^53", br#"{"a":9007199254740992}"#.to_vec()),
        ("2^53 + 1", br#"{"a":9007199254740993}"#.to_vec()),
        ("-2^53 - 1", br#"{"a":-9007199254740993}"#.to_vec()),
        ("beyond 64 bits", br#"{"a":123456789012345678901234567890}"#.to_vec()),
        ("beyond doubles", br#"{"a":1e999}"#.to_vec()),
        ("nested 60 deep", nested(60)),
        ("nested 70 deep", nested(70)),
        ("not UTF-8", b"{\"a\":\"\xff\"}".to_vec()),
        ("half a surrogate", br#"{"a":"\ud800"}"#.to_vec()),
        ("a control character", b"{\"a\":\"\x01\"}".to_vec()),
        ("NaN", br#"{"a":NaN}"#.to_vec()),
        ("a comment", br#"{/* x */"a":1}"#.to_vec()),
        ("a trailing comma", br#"{"a":1,}"#.to_vec()),
        ("a leading zero", br#"{"a":01}"#.to_vec()),
        ("a byte order mark", b"\xef\xbb\xbf{}".to_vec()),
    ]
}

#[tokio::test]
async fn strict_json_on_mcp() {
    let server = Server::start(FakeFront::default()).await;
    let mut rows: Vec<_> =
        cases().into_iter().map(|(name, text)| (name, arguments(&text))).collect();
    rows.push((
        "a second value",
        Request {
            body: [Request::call("scale", json!({})).body, b" {}".to_vec()].concat(),
            ..Request::call("scale", json!({}))
        },
    ));
    let last = rows.last_mut().unwrap();
    last.1 = last.1.clone().body(last.1.body.clone());
    let long = format!("{{\"{0}\":1,\"{0}\":2}}", "k".repeat(100_000));
    rows.push(("a key twice, endless", arguments(long.as_bytes())));
    expect![[r#"
        a key twice: 400 -32700 id 7: not strict JSON: the key `a` is there twice at line 1 column 206
        a key twice, one escaped: 400 -32700 id 7: not strict JSON: the key `a` is there twice at line 1 column 211
        a key twice, deep: 400 -32700 id 7: not strict JSON: the key `a` is there twice at line 1 column 212
        2^53 - 1: 200 ok
        2^53: 400 -32700 id 7: not strict JSON: the number 9007199254740992 is beyond 2^53 - 1; send it as a string at line 1 column 217
        2^53 + 1: 400 -32700 id 7: not strict JSON: the number 9007199254740993 is beyond 2^53 - 1; send it as a string at line 1 column 217
        -2^53 - 1: 400 -32700 id 7: not strict JSON: the number -9007199254740993 is beyond 2^53 - 1; send it as a string at line 1 column 218
        beyond 64 bits: 400 -32700 id 7: not strict JSON: the number 123456789012345680000000000000 is beyond 2^53 - 1; send it as a string at line 1 column 231
        beyond doubles: 400 -32700 id 7: not strict JSON: number out of range at line 1 column 206
        nested 60 deep: 200 ok
        nested 70 deep: 400 -32700 id 7: not strict JSON: nested more than 64 deep at line 1 column 511
        not UTF-8: 400 -32700 id 7: not strict JSON: not UTF-8 at byte 202
        half a surrogate: 400 -32700 id 7: not strict JSON: unexpected end of hex escape at line 1 column 209
        a control character: 400 -32700 id null: not strict JSON: control character (\u0000-\u001F) found while parsing a string at line 1 column 203
        NaN: 400 -32700 id null: not strict JSON: expected value at line 1 column 202
        a comment: 400 -32700 id null: not strict JSON: key must be a string at line 1 column 198
        a trailing comma: 400 -32700 id null: not strict JSON: trailing comma at line 1 column 204
        a leading zero: 400 -32700 id null: not strict JSON: invalid number at line 1 column 203
        a byte order mark: 400 -32700 id null: not strict JSON: expected value at line 1 column 197
        a second value: 400 -32700 id null: not strict JSON: trailing characters at line 1 column 202
        a key twice, endless: 400 -32700 id 7: not strict JSON: the key `kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk
    "#]].assert_eq(&send_all(&server, rows).await);
}

#[tokio::test]
async fn strict_json_on_plain_http() {
    let server = Server::start(FakeFront::default()).await;
    let post = |body: Vec<u8>| {
        Request::new("POST", "/v1/tools/scale").body(body).and("Content-Type", "application/json")
    };
    let mut rows: Vec<_> = cases().into_iter().map(|(name, text)| (name, post(text))).collect();
    rows.push(("a list", post(b"[]".to_vec())));
    rows.push(("nothing", post(Vec::new())));
    expect![[r#"
        a key twice: 400 not strict JSON: the key `a` is there twice at line 1 column 10
        a key twice, one escaped: 400 not strict JSON: the key `a` is there twice at line 1 column 15
        a key twice, deep: 400 not strict JSON: the key `a` is there twice at line 1 column 16
        2^53 - 1: 200 ok
        2^53: 400 not strict JSON: the number 9007199254740992 is beyond 2^53 - 1; send it as a string at line 1 column 21
        2^53 + 1: 400 not strict JSON: the number 9007199254740993 is beyond 2^53 - 1; send it as a string at line 1 column 21
        -2^53 - 1: 400 not strict JSON: the number -9007199254740993 is beyond 2^53 - 1; send it as a string at line 1 column 22
        beyond 64 bits: 400 not strict JSON: the number 123456789012345680000000000000 is beyond 2^53 - 1; send it as a string at line 1 column 35
        beyond doubles: 400 not strict JSON: number out of range at line 1 column 10
        nested 60 deep: 200 ok
        nested 70 deep: 400 not strict JSON: nested more than 64 deep at line 1 column 325
        not UTF-8: 400 not strict JSON: not UTF-8 at byte 6
        half a surrogate: 400 not strict JSON: unexpected end of hex escape at line 1 column 13
        a control character: 400 not strict JSON: control character (\u0000-\u001F) found while parsing a string at line 1 column 7
        NaN: 400 not strict JSON: expected value at line 1 column 6
        a comment: 400 not strict JSON: key must be a string at line 1 column 2
        a trailing comma: 400 not strict JSON: trailing comma at line 1 column 8
        a leading zero: 400 not strict JSON: invalid number at line 1 column 7
        a byte order mark: 200 ok
        a list: 400 invalid params: the body must be the arguments, a JSON object
        nothing: 400 not strict JSON: EOF while parsing a value at line 1 column 0
    "#]].assert_eq(&send_all(&server, rows).await);
}
