#!/usr/bin/env bash
# Makes what the webhook and the API server show each other: an authority, the webhook's certificate, the API server's.
#
# Usage: certificates.sh FOLDER [ADDRESS...]
#
# ADDRESSes beside the service's names go into the webhook's certificate: the service's clusterIP, nodes for a NodePort.
# What is in the folder already stays, so that new addresses can be added: remove server.crt and run it again.
# Needs openssl 1.1.1 or later. NAMESPACE and SERVICE are lanner unless the environment says otherwise; DAYS is 365.
set -euo pipefail

folder=${1:?give the folder to write to}
shift
namespace=${NAMESPACE:-lanner} service=${SERVICE:-lanner} days=${DAYS:-365}

umask 077
mkdir -p "$folder"
cd "$folder"

if [ ! -e ca.crt ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=lanner audit webhook CA" \
    -addext "keyUsage=critical,keyCertSign,cRLSign" -keyout ca.key -out ca.crt 2>/dev/null
fi

# certificate NAME COMMON-NAME USAGE ALTERNATIVE-NAMES
certificate() {
  if [ -e "$1.crt" ]; then return; fi
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$2" -keyout "$1.key" -out "$1.csr" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days "$days" -out "$1.crt" -extfile - \
    2>/dev/null <<EOF
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = $3
subjectAltName = $4
EOF
  rm "$1.csr"
}

names="DNS:$service.$namespace.svc,DNS:$service.$namespace.svc.cluster.local"
for address in "$@"; do
  names+=",IP:$address"
done
certificate server "$service.$namespace.svc" serverAuth "$names"
certificate client kube-apiserver clientAuth DNS:kube-apiserver
chmod 644 ca.crt server.crt client.crt

cat <<EOF
Into the cluster:
  kubectl -n $namespace create secret tls lanner-tls --cert=$PWD/server.crt --key=$PWD/server.key
  kubectl -n $namespace create secret generic lanner-client-ca --from-file=ca.crt=$PWD/ca.crt

Onto each machine of the control plane, into /etc/kubernetes/audit:
  $PWD/ca.crt $PWD/client.crt $PWD/client.key

Keep $PWD/ca.key to yourself.
EOF
