#!/bin/sh
# Tokens signed by golang-jwt's command `jwt` (Debian's package, 4.4), for tests/auth/test_foreign_tokens.py:
# `sh golang.sh key.pem > golang.json`.
set -eu

sign() { # claims, then what else the tool is told
  claims=$1
  shift
  printf %s "$claims" | jwt -alg EdDSA -key "$key" "$@" -sign -
}

key=$1
campus='"institution_id":"uni","license_type_id":"course"'
full="{$campus,\"unique_id\":\"biology-101\",\"user_id\":\"zoë@uni.example\",\"exp\":4102444800,\"nbf\":1700000000,"
full="$full\"iat\":1700000000,\"salt\":\"s\",\"jti\":\"t-1\",\"allowance\":2500000,"
full="$full\"models\":[\"openai/*\",\"quantized/demo\"],\"campus_role\":{\"any\":[\"thing\",null,1.5]}}"
printf '{\n  "least": "%s",\n  "kid": "%s",\n  "full": "%s"\n}\n' \
  "$(sign "{$campus}")" "$(sign "{$campus}" -header kid=2026)" "$(sign "$full")"
