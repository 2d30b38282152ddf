<?php
// Tokens signed by PHP's sodium, for tests/auth/test_foreign_tokens.py: `php sodium.php key.pem > sodium.json`.

function base64url(string $bytes): string
{
    return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
}

function sign(array $claims, string $secret, array $header = []): string
{
    $header = ['alg' => 'EdDSA', 'typ' => 'JWT', ...$header];
    $signed = base64url(json_encode($header)) . '.' . base64url(json_encode($claims));
    return $signed . '.' . base64url(sodium_crypto_sign_detached($signed, $secret));
}

$pem = file_get_contents($argv[1]);
$der = base64_decode(implode('', array_slice(explode("\n", trim($pem)), 1, -1)));
$secret = sodium_crypto_sign_secretkey(sodium_crypto_sign_seed_keypair(substr($der, -32)));

$campus = ['institution_id' => 'uni', 'license_type_id' => 'course'];
echo json_encode([
    'least' => sign($campus, $secret),
    'kid' => sign($campus, $secret, ['kid' => '2026']),
    'full' => sign([
        ...$campus,
        'unique_id' => 'biology-101',
        'user_id' => 'zoë@uni.example',
        'exp' => 4102444800,
        'nbf' => 1700000000,
        'iat' => 1700000000,
        'salt' => 's',
        'jti' => 't-1',
        'allowance' => 2500000,
        'models' => ['openai/*', 'quantized/demo'],
        'campus_role' => ['any' => ['thing', null, 1.5]],
    ], $secret),
], JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES), "\n";
