// Tokens signed by npm's jose (6.2), for tests/auth/test_foreign_tokens.py. Run in a folder where it is
// installed: `npm install jose@6 && node jose.mjs key.pem > jose.json`.
import { readFileSync } from "node:fs";
import { SignJWT, importPKCS8 } from "jose";

const key = await importPKCS8(readFileSync(process.argv[2], "utf8"), "EdDSA");
const sign = (claims, header = {}) =>
  new SignJWT(claims).setProtectedHeader({ alg: "EdDSA", typ: "JWT", ...header }).sign(key);

const campus = { institution_id: "uni", license_type_id: "course" };
console.log(
  JSON.stringify(
    {
      least: await sign(campus),
      kid: await sign(campus, { kid: "2026" }),
      full: await sign({
        ...campus,
        unique_id: "biology-101",
        user_id: "zoë@uni.example",
        exp: 4102444800,
        nbf: 1700000000,
        iat: 1700000000,
        salt: "s",
        jti: "t-1",
        allowance: 2500000,
        models: ["openai/*", "quantized/demo"],
        campus_role: { any: ["thing", null, 1.5] },
      }),
    },
    null,
    2,
  ),
);
