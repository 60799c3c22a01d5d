#!/bin/sh
# Makes the certificates of tests again, with openssl: two authorities, servers for 127.0.0.1 and
# localhost, one for another name, and clients. Each is valid for a hundred years. The keys protect
# nothing.
set -eu
cd "$(dirname "$0")"
key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1.key"; }
authority() {
    key "$1"
    openssl req -x509 -new -key "$1.key" -sha256 -days 36500 -subj "/CN=cofferdam test $1" \
        -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign" -out "$1.pem"
}
signed() { # NAME AUTHORITY SUBJECT-ALT-NAME USAGE
    key "$1"
    printf 'subjectAltName=%s\nextendedKeyUsage=%s\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n' "$3" "$4" >"$1.ext"
    openssl req -new -key "$1.key" -sha256 -subj "/CN=cofferdam test $1" |
        openssl x509 -req -CA "$2.pem" -CAkey "$2.key" -sha256 -days 36500 -extfile "$1.ext" \
            -set_serial "0x$(printf %s "$1" | sha256sum | cut -c1-15)" -out "$1.pem"
    rm "$1.ext"
}
authority ca
authority other-ca
signed server ca DNS:localhost,IP:127.0.0.1,IP:::1 serverAuth
signed renewed ca DNS:localhost,IP:127.0.0.1,IP:::1 serverAuth
signed elsewhere ca DNS:elsewhere.example.com serverAuth
signed client ca DNS:agent.example.com clientAuth
signed stranger other-ca DNS:agent.example.com clientAuth
rm ca.key other-ca.key
