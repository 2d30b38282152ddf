"""AWS Bedrock's Converse, signed as AWS demands. Only this package knows botocore."""
