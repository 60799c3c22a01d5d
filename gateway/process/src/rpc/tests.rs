//! Sockets that are lost or carry nonsense, and messages that are too large.

use super::*;

#[tokio::test]
async fn many_at_once_and_a_lost_socket_fails_them() {
    let (a, b) = StdStream::pair().unwrap();
    let server = tokio::spawn(serve(b, |ask: u32| async move {
        match ask {
            0 => std::future::pending().await,
            1 => Err(RoleError::Fenced),
            other => Ok(other * 2),
        }
    }));
    let client = Arc::new(Client::<u32, u32>::new());
    client.connect(a).unwrap();
    assert_eq!(client.call(&21).await, Ok(42));
    assert_eq!(client.call(&1).await, Err(RoleError::Fenced));
    let stuck = {
        let client = Arc::clone(&client);
        tokio::spawn(async move { client.call(&0).await })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.abort();
    assert!(matches!(stuck.await.unwrap(), Err(RoleError::Unavailable(_))));
    let (a, b) = StdStream::pair().unwrap();
    tokio::spawn(serve(b, |ask: u32| async move { Ok::<_, RoleError>(ask + 1) }));
    client.connect(a).unwrap();
    assert_eq!(client.call(&1).await, Ok(2));
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_given_up_and_forgotten() {
    let (a, b) = StdStream::pair().unwrap();
    tokio::spawn(serve(b, |ask: u64| async move {
        tokio::time::sleep(Duration::from_millis(ask)).await;
        Ok::<_, RoleError>(ask)
    }));
    let client = Client::<u64, u64>::within(Duration::from_secs(2));
    client.connect(a).unwrap();
    assert!(matches!(client.call(&60_000).await, Err(RoleError::Unavailable(_))));
    assert!(
        tokio::time::timeout(Duration::from_millis(10), client.call(&60_000)).await.is_err(),
        "its asker gave up first"
    );
    let connection = client.connection.borrow().clone().unwrap();
    assert_eq!(connection.waiting.lock().unwrap().len(), 0);
    assert_eq!(client.call(&0).await, Ok(0), "the socket is as good as before");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_a_fault_of_its_own_request() {
    let (a, b) = StdStream::pair().unwrap();
    tokio::spawn(serve(b, |size: usize| async move { Ok::<_, RoleError>("x".repeat(size)) }));
    let client = Client::<usize, String>::new();
    client.connect(a).unwrap();
    assert_eq!(client.call(&1).await, Ok("x".to_owned()));
    assert!(matches!(client.call(&(frame::HEADER + 1)).await, Err(RoleError::TooLarge(_))));
    assert_eq!(client.call(&1).await, Ok("x".to_owned()), "and the next one is answered again");
}

#[tokio::test]
async fn a_fault_that_is_too_large_is_told_in_fewer_words() {
    let (a, b) = StdStream::pair().unwrap();
    tokio::spawn(serve(b, |size: usize| async move {
        Err::<(), _>(RoleError::Refused("x".repeat(size)))
    }));
    let client = Client::<usize, ()>::new();
    client.connect(a).unwrap();
    assert!(matches!(client.call(&frame::HEADER).await, Err(RoleError::TooLarge(_))));
    assert_eq!(client.call(&1).await, Err(RoleError::Refused("x".to_owned())));
}

#[tokio::test]
async fn a_request_that_is_too_large_is_a_fault_of_its_own() {
    let (a, b) = StdStream::pair().unwrap();
    tokio::spawn(serve(b, |text: String| async move { Ok::<_, RoleError>(text.len()) }));
    let client = Client::<String, usize>::new();
    client.connect(a).unwrap();
    assert!(matches!(
        client.call(&"x".repeat(frame::HEADER + 1)).await,
        Err(RoleError::TooLarge(_))
    ));
    assert_eq!(client.call(&"x".to_owned()).await, Ok(1), "and the next one is answered again");
}

#[tokio::test]
async fn a_request_or_an_answer_of_another_shape_fails_its_own_id() {
    let (a, b) = StdStream::pair().unwrap();
    tokio::spawn(serve(b, |ask: u32| async move {
        // The answers have two forms: the client takes numbers alone.
        Ok::<_, RoleError>(if ask == 0 {
            serde_json::json!("none")
        } else {
            serde_json::json!(ask)
        })
    }));
    let client = Client::<i64, u32>::new();
    client.connect(a).unwrap();
    assert!(
        matches!(client.call(&-1).await, Err(RoleError::Refused(_))),
        "no request that the server knows"
    );
    assert!(
        matches!(client.call(&0).await, Err(RoleError::Unavailable(_))),
        "no answer that the client knows"
    );
    assert_eq!(client.call(&7).await, Ok(7), "the socket is as good as before");
}

#[tokio::test]
async fn a_socket_on_which_the_other_side_talks_nonsense_is_broken_and_one_that_closes_is_not() {
    use std::io::Write as _;
    let long = [&u32::try_from(frame::HEADER + 1).unwrap().to_be_bytes()[..], &[0; 4]].concat();
    let nameless = [&2_u32.to_be_bytes()[..], &[0; 4], b"{}"].concat();
    for (said, breaks) in [(long, true), (nameless, true), (vec![0, 0], false), (Vec::new(), false)]
    {
        let (mut liar, asks) = StdStream::pair().unwrap();
        let (mut other, serves) = StdStream::pair().unwrap();
        let client = Client::<u32, u32>::within(Duration::from_secs(2));
        client.connect(asks).unwrap();
        let server = tokio::spawn(serve(serves, |ask: u32| async move { Ok::<_, RoleError>(ask) }));
        for socket in [&mut liar, &mut other] {
            socket.write_all(&said).unwrap();
        }
        drop((liar, other));
        assert_eq!(server.await.unwrap().is_err(), breaks, "{said:?}");
        let broken = tokio::time::timeout(
            Duration::from_millis(if breaks { 5_000 } else { 100 }),
            client.broken(),
        )
        .await;
        assert_eq!(broken.is_ok(), breaks, "{said:?}");
    }
}
