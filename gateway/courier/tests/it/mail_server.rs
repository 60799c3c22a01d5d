//! A mail server of a test: takes messages by SMTP with TLS from the beginning or by STARTTLS, and
//! remembers them. It takes no message without TLS and the right password.

use cofferdam_testkit::tls::Pair;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The words of a user and a password in `AUTH PLAIN`: `\0ops\0s3cret` in base64.
const SIGN_IN: &str = "AG9wcwBzM2NyZXQ=";

/// A message as the server took it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// The recipients of the envelope.
    pub to: Vec<String>,
    /// Head and body.
    pub text: String,
}

/// A running mail server. Its threads end with the test process.
pub struct MailServer {
    pub address: SocketAddr,
    taken: Arc<Mutex<Vec<Taken>>>,
}

impl MailServer {
    /// A server with this certificate.
    pub fn start(pair: Pair, implicit: bool) -> Self {
        let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let taken: Arc<Mutex<Vec<Taken>>> = Arc::default();
        let kept = Arc::clone(&taken);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, kept) = (Arc::clone(&config), Arc::clone(&kept));
                std::thread::spawn(move || talk(stream, implicit, config, &kept));
            }
        });
        Self { address, taken }
    }

    /// The messages so far.
    pub fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }
}

fn talk(stream: TcpStream, implicit: bool, tls: Arc<ServerConfig>, taken: &Mutex<Vec<Taken>>) {
    let secured =
        |stream| StreamOwned::new(ServerConnection::new(Arc::clone(&tls)).unwrap(), stream);
    if implicit {
        let _gone = serve(secured(stream), true, true, taken);
        return;
    }
    if serve(stream.try_clone().unwrap(), true, false, taken) == Some(true) {
        let _gone = serve(secured(stream), false, true, taken);
    }
}

/// Returns true if TLS begins.
fn serve(
    stream: impl Read + Write,
    greets: bool,
    secure: bool,
    taken: &Mutex<Vec<Taken>>,
) -> Option<bool> {
    let mut stream = BufReader::with_capacity(1, stream);
    let say = |stream: &mut BufReader<_>, text: &str| {
        let stream: &mut BufReader<_> = stream;
        write_line(stream.get_mut(), text)
    };
    if greets {
        say(&mut stream, "220 mail.test ESMTP")?;
    }
    let (mut signed_in, mut message) = (false, Taken::default());
    loop {
        let line = read_line(&mut stream)?;
        let word = line.to_ascii_uppercase();
        if word.starts_with("EHLO") {
            let offer = if secure { "250 AUTH PLAIN LOGIN" } else { "250 STARTTLS" };
            say(&mut stream, &format!("250-mail.test\r\n{offer}"))?;
        } else if word == "STARTTLS" && !secure {
            say(&mut stream, "220 go ahead")?;
            return Some(true);
        } else if !secure {
            say(&mut stream, "530 first STARTTLS")?;
        } else if word.starts_with("AUTH PLAIN") {
            signed_in = line.ends_with(SIGN_IN);
            let answer = if signed_in { "235 welcome" } else { "535 wrong user or password" };
            say(&mut stream, answer)?;
        } else if !signed_in && word != "QUIT" {
            say(&mut stream, "530 sign in first")?;
        } else if word.starts_with("RCPT TO:") {
            message.to.push(line["RCPT TO:".len()..].trim_matches(['<', '>']).to_owned());
            say(&mut stream, "250 fine")?;
        } else if word == "DATA" {
            say(&mut stream, "354 go ahead")?;
            loop {
                let line = read_line(&mut stream)?;
                if line == "." {
                    break;
                }
                message.text.push_str(&line);
                message.text.push('\n');
            }
            taken.lock().unwrap().push(std::mem::take(&mut message));
            say(&mut stream, "250 taken")?;
        } else if word == "QUIT" {
            say(&mut stream, "221 bye")?;
            return Some(false);
        } else {
            say(&mut stream, "250 fine")?;
        }
    }
}

fn write_line(stream: &mut impl Write, text: &str) -> Option<()> {
    stream.write_all(format!("{text}\r\n").as_bytes()).and_then(|()| stream.flush()).ok()
}

fn read_line(stream: &mut BufReader<impl Read>) -> Option<String> {
    let mut line = String::new();
    match stream.read_line(&mut line) {
        Ok(count) if count > 0 => Some(line.trim_end_matches(['\r', '\n']).to_owned()),
        _ => None,
    }
}
