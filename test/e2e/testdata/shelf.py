# SPDX-License-Identifier: Apache-2.0
"""Writes and reads an object with what the environment says, as anybody's script does."""
import boto3

s3 = boto3.client("s3")
s3.put_object(Bucket="shelf", Key="notes/book", Body=b"read me")
print("book:", s3.get_object(Bucket="shelf", Key="notes/book")["Body"].read().decode())
