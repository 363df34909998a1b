#!/bin/sh
# EST (RFC 7030) with curl and OpenSSL alone: cacerts, simpleenroll, and simplereenroll with the
# same key and with a new one.
#   est.sh URL SERVER_CA IDEVID_CERTIFICATE IDEVID_KEY FOLDER
set -eu
url=$1 server_ca=$2 idevid=$3 idevid_key=$4 folder=$5
mkdir -p "$folder"
cd "$folder"

est() { # path, further options of curl: the certificates of the answer, PEM
    path=$1
    shift
    curl --silent --show-error --fail-with-body --noproxy '*' --cacert "$server_ca" \
        --output answer "$@" "$url/.well-known/est/$path" || { cat answer >&2; exit 1; }
    openssl base64 -d -in answer | openssl pkcs7 -inform DER -print_certs
}

new_key() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null
}

obtain() { # path, key to certify, certificate and key to show, file for the new certificate
    openssl req -new -subj / -key "$2" -outform DER | base64 >request
    est "$1" --cert "$3" --key "$4" --header 'Content-Type: application/pkcs10' \
        --data-binary @request >"$5"
    # The certificate is for this key.
    openssl x509 -in "$5" -noout -pubkey >certified
    openssl pkey -in "$2" -pubout | cmp - certified
}

est cacerts >cacerts.pem
new_key first.key
obtain simpleenroll first.key "$idevid" "$idevid_key" first.pem
obtain simplereenroll first.key first.pem first.key renewed.pem
new_key second.key
obtain simplereenroll second.key renewed.pem first.key re-keyed.pem

# What a relying party sees: the device's certificate comes from what cacerts gave.
for certificate in first.pem renewed.pem re-keyed.pem; do
    openssl verify -purpose sslclient -CAfile cacerts.pem "$certificate" >/dev/null
done
openssl x509 -in re-keyed.pem -noout -subject
