#!/bin/sh
# Makes the certificates of this folder, which tests use and nobody trusts: an authority, two certificates of a server that
# follow each other, and one of a client. They are valid for a hundred years.
set -e
cd "$(dirname "$0")"
days=36500
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days $days \
  -subj '/CN=lossd test authority' -keyout ca.key -out ca.pem
for name in server renewed client; do
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$name" -keyout $name.key -out $name.csr
  printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' > $name.ext
  openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days $days -extfile $name.ext -out $name.pem
done
rm -f ./*.csr ./*.ext ca.srl ca.key
