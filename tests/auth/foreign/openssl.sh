#!/bin/sh
# Tokens signed by openssl (3.0 or later), for tests/auth/test_foreign_tokens.py:
# `sh openssl.sh key.pem > openssl.json`.
set -eu

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

sign() { # header, claims
  signed="$(printf %s "$1" | base64url).$(printf %s "$2" | base64url)"
  scratch=$(mktemp)
  printf %s "$signed" > "$scratch"
  printf '%s.%s' "$signed" "$(openssl pkeyutl -sign -rawin -inkey "$key" -in "$scratch" | base64url)"
  rm "$scratch"
}

key=$1
header='{"alg":"EdDSA","typ":"JWT"}'
campus='"institution_id":"uni","license_type_id":"course"'
full="{$campus,\"unique_id\":\"biology-101\",\"user_id\":\"zoë@uni.example\",\"exp\":4102444800,\"nbf\":1700000000,"
full="$full\"iat\":1700000000,\"salt\":\"s\",\"jti\":\"t-1\",\"allowance\":2500000,"
full="$full\"models\":[\"openai/*\",\"quantized/demo\"],\"campus_role\":{\"any\":[\"thing\",null,1.5]}}"
printf '{\n  "least": "%s",\n  "kid": "%s",\n  "full": "%s"\n}\n' \
  "$(sign "$header" "{$campus}")" \
  "$(sign '{"alg":"EdDSA","typ":"JWT","kid":"2026"}' "{$campus}")" \
  "$(sign "$header" "$full")"
