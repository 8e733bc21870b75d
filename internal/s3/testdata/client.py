# SPDX-License-Identifier: Apache-2.0
"""What boto3 sees of the S3 door. Run by boto3_test.go, which says where the door is and whose keys are whose."""

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import unittest
import zlib
import urllib.error
import urllib.request
import ssl

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["ENDPOINT"]
KEYS = json.loads(os.environ["KEYS"])
DIR = os.environ["BUCKET_DIR"]


def client(who, **kw):
    k = KEYS[who] if isinstance(who, str) else who
    return boto3.client(
        "s3", endpoint_url=ENDPOINT, region_name="us-east-1", aws_access_key_id=k["accessKeyId"],
        aws_secret_access_key=k["secretAccessKey"], aws_session_token=k["sessionToken"],
        config=Config(retries={"max_attempts": 1}, **kw))


class Case(unittest.TestCase):
    def refused(self, status, code, call, **kw):
        with self.assertRaises(ClientError) as c:
            call(**kw)
        got = c.exception.response
        self.assertEqual(got["ResponseMetadata"]["HTTPStatusCode"], status, got)
        if code:
            self.assertEqual(got["Error"]["Code"], code, got)


class Objects(Case):
    def setUp(self):
        self.s3 = client("editor")

    def test_put_get_head_list_delete(self):
        body = b"hello" * 1000
        r = self.s3.put_object(Bucket="neuro", Key="a/b/c.txt", Body=body, ContentType="text/plain", Metadata={"run": "r1"})
        self.assertEqual(r["ETag"], '"%s"' % hashlib.md5(body).hexdigest())
        r = self.s3.get_object(Bucket="neuro", Key="a/b/c.txt")
        self.assertEqual(r["Body"].read(), body)
        self.assertEqual((r["ContentType"], r["Metadata"], r["ContentLength"]), ("text/plain", {"run": "r1"}, 5000))
        self.assertEqual(base64.b64decode(r["ChecksumCRC32"]), zlib.crc32(body).to_bytes(4, "big"))
        self.assertEqual(self.s3.head_object(Bucket="neuro", Key="a/b/c.txt")["ContentLength"], 5000)
        r = self.s3.get_object(Bucket="neuro", Key="a/b/c.txt", Range="bytes=5-9")
        self.assertEqual((r["Body"].read(), r["ContentRange"]), (b"hello", "bytes 5-9/5000"))
        self.assertEqual([o["Key"] for o in self.s3.list_objects_v2(Bucket="neuro", Prefix="a/")["Contents"]], ["a/b/c.txt"])
        self.assertTrue(os.path.isfile(DIR + "/neuro/a/b/c.txt"))
        self.s3.delete_object(Bucket="neuro", Key="a/b/c.txt")
        self.s3.delete_object(Bucket="neuro", Key="a/b/c.txt")  # once more is fine
        self.refused(404, None, self.s3.get_object, Bucket="neuro", Key="a/b/c.txt")
        self.assertFalse(os.path.exists(DIR + "/neuro/a"))

    def test_empty_overwrite_and_odd_keys(self):
        for key in ["empty", "sp ace+plus&amp=;,", "üñí/☃", "100%", "a.b/..c", "=#?x", "q/" * 30 + "deep"]:
            for body in [b"", b"one", b"two!"]:
                self.s3.put_object(Bucket="neuro", Key="odd/" + key, Body=body)
                self.assertEqual(self.s3.get_object(Bucket="neuro", Key="odd/" + key)["Body"].read(), body)
        keys = [o["Key"] for o in self.s3.list_objects_v2(Bucket="neuro", Prefix="odd/")["Contents"]]
        self.assertIn("odd/üñí/☃", keys)
        self.assertIn("odd/sp ace+plus&amp=;,", keys)
        r = self.s3.delete_objects(Bucket="neuro", Delete={"Objects": [{"Key": k} for k in keys]})
        self.assertEqual(len(r["Deleted"]), 7)

    def test_pages_and_delimiters(self):
        keys = sorted(["p/%d/%03d" % (i % 3, i) for i in range(25)] + ["p/top", "p/1.txt"])
        for k in keys:
            self.s3.put_object(Bucket="neuro", Key=k, Body=b"x")
        got = []
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket="neuro", Prefix="p/", PaginationConfig={"PageSize": 4}):
            got += [o["Key"] for o in page.get("Contents", [])]
        self.assertEqual(sorted(got), keys)
        self.assertEqual(len(got), len(set(got)))
        r = self.s3.list_objects_v2(Bucket="neuro", Prefix="p/", Delimiter="/")
        self.assertEqual([c["Prefix"] for c in r["CommonPrefixes"]], ["p/0/", "p/1/", "p/2/"])
        self.assertEqual([o["Key"] for o in r["Contents"]], ["p/1.txt", "p/top"])
        self.assertEqual(self.s3.list_objects(Bucket="neuro", Prefix="p/", MaxKeys=2)["IsTruncated"], True)

    def test_conditions(self):
        self.s3.put_object(Bucket="neuro", Key="cond", Body=b"1", IfNoneMatch="*")
        self.refused(412, "PreconditionFailed", self.s3.put_object, Bucket="neuro", Key="cond", Body=b"2", IfNoneMatch="*")
        etag = self.s3.head_object(Bucket="neuro", Key="cond")["ETag"]
        self.refused(412, None, self.s3.put_object, Bucket="neuro", Key="cond", Body=b"2", IfMatch='"beef"')
        self.s3.put_object(Bucket="neuro", Key="cond", Body=b"2", IfMatch=etag)
        self.refused(304, None, self.s3.get_object, Bucket="neuro", Key="cond", IfNoneMatch=self.s3.head_object(Bucket="neuro", Key="cond")["ETag"])

    def test_only_one_wins(self):
        won = []

        def race(i):
            try:
                client("editor").put_object(Bucket="neuro", Key="race", Body=b"%d" % i, IfNoneMatch="*")
                won.append(i)
            except ClientError:
                pass

        threads = [threading.Thread(target=race, args=(i,)) for i in range(8)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        self.assertEqual(len(won), 1)
        self.assertEqual(self.s3.get_object(Bucket="neuro", Key="race")["Body"].read(), b"%d" % won[0])

    def test_multipart(self):
        data = os.urandom(17 << 20)
        config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20, max_concurrency=3)
        self.s3.upload_fileobj(io.BytesIO(data), "neuro", "big/one.bin", ExtraArgs={"Metadata": {"k": "v"}}, Config=config)
        back = io.BytesIO()
        self.s3.download_fileobj("neuro", "big/one.bin", back, Config=config)
        self.assertEqual(back.getvalue(), data)
        h = self.s3.head_object(Bucket="neuro", Key="big/one.bin", ChecksumMode="ENABLED")
        self.assertTrue(h["ETag"].endswith('-4"'), h["ETag"])
        self.assertEqual(h["Metadata"], {"k": "v"})
        self.assertEqual((h["ChecksumType"], h["ChecksumCRC32"][-2:]), ("COMPOSITE", "-4"))
        self.s3.copy({"Bucket": "neuro", "Key": "big/one.bin"}, "neuro", "big/two.bin", Config=config)  # UploadPartCopy
        self.assertEqual(hashlib.md5(self.s3.get_object(Bucket="neuro", Key="big/two.bin")["Body"].read()).digest(), hashlib.md5(data).digest())
        self.assertEqual(self.s3.list_multipart_uploads(Bucket="neuro").get("Uploads", []), [])

    def test_multipart_steps(self):
        up = self.s3.create_multipart_upload(Bucket="neuro", Key="steps")["UploadId"]
        where = dict(Bucket="neuro", Key="steps", UploadId=up)
        self.s3.upload_part(PartNumber=1, Body=b"x" * (5 << 20), **where)
        one = self.s3.upload_part(PartNumber=1, Body=b"y" * (5 << 20), **where)["ETag"]
        two = self.s3.upload_part(PartNumber=2, Body=b"z", **where)["ETag"]
        self.assertEqual([p["PartNumber"] for p in self.s3.list_parts(**where)["Parts"]], [1, 2])
        self.assertEqual([u["UploadId"] for u in self.s3.list_multipart_uploads(Bucket="neuro")["Uploads"]], [up])
        self.refused(404, "NoSuchUpload", self.s3.upload_part, Bucket="neuro", Key="another", UploadId=up, PartNumber=1, Body=b"")
        self.refused(400, "InvalidPart", self.s3.complete_multipart_upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": two}]}, **where)
        self.refused(400, "InvalidPartOrder", self.s3.complete_multipart_upload,
                     MultipartUpload={"Parts": [{"PartNumber": 2, "ETag": two}, {"PartNumber": 1, "ETag": one}]}, **where)
        self.s3.complete_multipart_upload(MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": one}, {"PartNumber": 2, "ETag": two}]}, **where)
        self.assertEqual(self.s3.get_object(Bucket="neuro", Key="steps")["Body"].read(), b"y" * (5 << 20) + b"z")
        up = self.s3.create_multipart_upload(Bucket="neuro", Key="steps2")["UploadId"]
        self.s3.abort_multipart_upload(Bucket="neuro", Key="steps2", UploadId=up)
        self.refused(404, "NoSuchUpload", self.s3.list_parts, Bucket="neuro", Key="steps2", UploadId=up)

    def test_copy(self):
        self.s3.put_object(Bucket="neuro", Key="copy/from", Body=b"data", Metadata={"a": "1"}, ContentType="text/csv")
        self.s3.copy_object(Bucket="neuro", Key="copy/to", CopySource={"Bucket": "neuro", "Key": "copy/from"})
        r = self.s3.get_object(Bucket="neuro", Key="copy/to")
        self.assertEqual((r["Body"].read(), r["Metadata"], r["ContentType"]), (b"data", {"a": "1"}, "text/csv"))
        self.s3.copy_object(Bucket="neuro", Key="copy/to", CopySource="neuro/copy/from", MetadataDirective="REPLACE", Metadata={"b": "2"})
        self.assertEqual(self.s3.head_object(Bucket="neuro", Key="copy/to")["Metadata"], {"b": "2"})
        self.refused(404, "NoSuchKey", self.s3.copy_object, Bucket="neuro", Key="x", CopySource="neuro/copy/nothing")

    def test_checksums(self):
        for algorithm in ["CRC32", "SHA1", "SHA256"]:
            self.s3.put_object(Bucket="neuro", Key="sum", Body=b"abc", ChecksumAlgorithm=algorithm)
        self.refused(400, None, self.s3.put_object, Bucket="neuro", Key="badsum", Body=b"abc", ChecksumSHA256="A" * 43 + "=")
        self.refused(400, None, self.s3.put_object, Bucket="neuro", Key="badsum", Body=b"abc", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")
        self.refused(404, None, self.s3.head_object, Bucket="neuro", Key="badsum")

    def test_flipped_byte_is_noticed(self):
        self.s3.put_object(Bucket="neuro", Key="flip", Body=b"precious")
        path = DIR + "/neuro/flip"
        before = os.stat(path)
        with open(path, "r+b") as f:
            f.write(b"P")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a failing disk would: nothing else changes
        with self.assertRaisesRegex(Exception, "checksum"):
            self.s3.get_object(Bucket="neuro", Key="flip")["Body"].read()

    def test_dropped_file(self):
        s3 = client("steward")
        keys = [o["Key"] for o in s3.list_objects_v2(Bucket="neuro", Prefix="inbox/")["Contents"]]
        self.assertIn("inbox/voice/dropped.csv", keys)
        self.assertEqual(s3.get_object(Bucket="neuro", Key="inbox/voice/dropped.csv")["Body"].read(), b"a,b\n1,2\n")

    def test_folders(self):
        self.s3.put_object(Bucket="neuro", Key="folder/", Body=b"")
        self.s3.head_object(Bucket="neuro", Key="folder/")
        self.assertEqual([o["Key"] for o in self.s3.list_objects_v2(Bucket="neuro", Prefix="folder")["Contents"]], ["folder/"])
        self.s3.put_object(Bucket="neuro", Key="folder/x", Body=b"1")
        self.assertEqual([o["Key"] for o in self.s3.list_objects_v2(Bucket="neuro", Prefix="folder")["Contents"]], ["folder/x"])
        self.s3.delete_object(Bucket="neuro", Key="folder/")
        self.s3.head_object(Bucket="neuro", Key="folder/x")
        self.refused(409, None, self.s3.put_object, Bucket="neuro", Key="folder", Body=b"1")
        self.refused(409, None, self.s3.put_object, Bucket="neuro", Key="folder/x/y", Body=b"1")
        self.refused(404, None, self.s3.get_object, Bucket="neuro", Key="folder")

    def test_not_ours(self):
        for name, kw in [
            ("create_bucket", {}), ("delete_bucket", {}), ("put_bucket_policy", {"Policy": "{}"}), ("put_bucket_acl", {"ACL": "private"}),
            ("put_object_acl", {"Key": "cond", "ACL": "private"}), ("delete_bucket_policy", {}), ("put_bucket_versioning", {"VersioningConfiguration": {"Status": "Enabled"}}),
        ]:
            bucket = "neuro" if name != "create_bucket" else "new-bucket"
            self.refused(403, "AccessDenied", getattr(self.s3, name), Bucket=bucket, **kw)
        for name, kw in [
            ("get_bucket_acl", {}), ("get_bucket_policy", {}), ("list_object_versions", {}), ("get_object_tagging", {"Key": "x"}),
            ("put_object_tagging", {"Key": "x", "Tagging": {"TagSet": []}}), ("get_object", {"Key": "x", "VersionId": "1"}),
            ("put_object", {"Key": "x", "ServerSideEncryption": "AES256"}), ("put_object", {"Key": "x", "Tagging": "a=b"}),
        ]:
            self.refused(501, "NotImplemented", getattr(self.s3, name), Bucket="neuro", **kw)
        self.refused(400, "AccessControlListNotSupported", self.s3.put_object, Bucket="neuro", Key="x", ACL="public-read")
        self.assertFalse(os.path.exists(DIR + "/new-bucket"))


class Rights(Case):
    def setUp(self):
        client("editor").put_object(Bucket="neuro", Key="shared/x", Body=b"ws data")
        client("editor").put_object(Bucket="neuro", Key="inbox/raw.csv", Body=b"name\nAda\n")
        client("other").put_object(Bucket="other", Key="secret", Body=b"other data")

    def test_buckets(self):
        names = lambda who: [b["Name"] for b in client(who).list_buckets()["Buckets"]]
        self.assertEqual((names("editor"), names("other"), names("both")), (["neuro"], ["other"], ["neuro", "other"]))
        client("viewer").head_bucket(Bucket="neuro")
        self.refused(403, None, client("other").head_bucket, Bucket="neuro")
        self.refused(403, None, client("other").head_bucket, Bucket="no-such-bucket")  # tells nothing

    def test_other_workspace(self):
        s3 = client("other")
        for name, kw in [
            ("get_object", {"Key": "shared/x"}), ("head_object", {"Key": "shared/x"}), ("put_object", {"Key": "shared/x", "Body": b"!"}),
            ("delete_object", {"Key": "shared/x"}), ("list_objects_v2", {}), ("list_objects", {}), ("list_multipart_uploads", {}),
            ("create_multipart_upload", {"Key": "k"}), ("get_bucket_location", {}),
            ("copy_object", {"Key": "k", "CopySource": "other/secret"}),
            ("upload_part", {"Key": "k", "UploadId": "a" * 26, "PartNumber": 1, "Body": b""}),
            ("complete_multipart_upload", {"Key": "k", "UploadId": "a" * 26, "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": "e"}]}}),
            ("abort_multipart_upload", {"Key": "k", "UploadId": "a" * 26}), ("list_parts", {"Key": "k", "UploadId": "a" * 26}),
        ]:
            with self.subTest(name):
                self.refused(403, None, getattr(s3, name), Bucket="neuro", **kw)
        self.refused(403, None, s3.delete_objects, Bucket="neuro", Delete={"Objects": [{"Key": "shared/x"}]})
        self.refused(403, None, s3.copy_object, Bucket="other", Key="stolen", CopySource="neuro/shared/x")
        self.assertEqual(client("editor").get_object(Bucket="neuro", Key="shared/x")["Body"].read(), b"ws data")

    def test_copy_needs_both_sides(self):
        s3 = client("both")  # viewer in ws, editor in other
        s3.copy_object(Bucket="other", Key="copied", CopySource="neuro/shared/x")
        self.refused(403, None, s3.copy_object, Bucket="neuro", Key="copied", CopySource="other/secret")
        self.refused(403, None, s3.copy_object, Bucket="other", Key="leak", CopySource="neuro/inbox/raw.csv")
        up = s3.create_multipart_upload(Bucket="other", Key="leak")["UploadId"]
        self.refused(403, None, s3.upload_part_copy, Bucket="other", Key="leak", UploadId=up, PartNumber=1, CopySource="neuro/inbox/raw.csv")
        for trick in ["neuro/shared/../inbox/raw.csv", "neuro/./inbox/raw.csv", "neuro//inbox/raw.csv", "neuro/inbox%2Fraw.csv", "../neuro/inbox/raw.csv", "neuro/Inbox/raw.csv"]:
            with self.subTest(trick):
                with self.assertRaises(ClientError) as c:
                    s3.copy_object(Bucket="other", Key="leak", CopySource=trick)
                self.assertIn(c.exception.response["ResponseMetadata"]["HTTPStatusCode"], (400, 403, 404))

    def test_viewer(self):
        s3 = client("viewer")
        self.assertEqual(s3.get_object(Bucket="neuro", Key="shared/x")["Body"].read(), b"ws data")
        for name, kw in [("put_object", {"Key": "v", "Body": b""}), ("delete_object", {"Key": "shared/x"}), ("create_multipart_upload", {"Key": "v"}),
                         ("copy_object", {"Key": "v", "CopySource": "neuro/shared/x"})]:
            self.refused(403, "AccessDenied", getattr(s3, name), Bucket="neuro", **kw)

    def test_inbox(self):
        for who in ["viewer", "editor"]:
            for name in ["get_object", "head_object"]:
                self.refused(403, None, getattr(client(who), name), Bucket="neuro", Key="inbox/raw.csv")
            self.refused(403, None, client(who).get_object, Bucket="neuro", Key="inbox/raw.csv", Range="bytes=0-1")
        self.assertEqual(client("steward").get_object(Bucket="neuro", Key="inbox/raw.csv")["Body"].read(), b"name\nAda\n")
        self.refused(403, None, client("editor").copy_object, Bucket="neuro", Key="shared/leak", CopySource="neuro/inbox/raw.csv")
        client("editor").put_object(Bucket="neuro", Key="inbox/another.csv", Body=b"x")  # bringing data in is an editor's work

    def test_presigned(self):
        def http(url, method="GET", data=None, headers={}):
            r = urllib.request.Request(url, method=method, data=data, headers=headers)
            try:
                with urllib.request.urlopen(r, context=ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"])) as a:
                    return a.status, a.read()
            except urllib.error.HTTPError as e:
                return e.code, e.read()

        s3 = client("editor", signature_version="s3v4")
        get = s3.generate_presigned_url("get_object", Params={"Bucket": "neuro", "Key": "shared/x"}, ExpiresIn=60)
        self.assertEqual(http(get), (200, b"ws data"))
        self.assertEqual(http(get.replace("shared/x", "inbox/raw.csv"))[0], 403)
        self.assertEqual(http(get, "DELETE")[0], 403)
        self.assertEqual(http(get[:-1] + ("0" if get[-1] != "0" else "1"))[0], 403)
        inbox = s3.generate_presigned_url("get_object", Params={"Bucket": "neuro", "Key": "inbox/raw.csv"}, ExpiresIn=60)
        self.assertEqual(http(inbox)[0], 403)
        put = s3.generate_presigned_url("put_object", Params={"Bucket": "neuro", "Key": "pre"}, ExpiresIn=60)
        self.assertEqual(http(put, "PUT", b"signed", {"Content-Type": ""})[0], 200)
        # A header that the signer did not sign must not turn a write into a copy.
        self.assertEqual(http(put, "PUT", b"", {"x-amz-copy-source": "neuro/shared/x", "Content-Type": ""})[0], 403)
        self.assertEqual(client("viewer").get_object(Bucket="neuro", Key="pre")["Body"].read(), b"signed")

    def test_wrong_keys(self):
        k = KEYS["editor"]
        for change, codes in [
            ({"secretAccessKey": "x" * 40}, ["SignatureDoesNotMatch"]),
            ({"accessKeyId": KEYS["steward"]["accessKeyId"]}, ["InvalidToken"]),
            ({"sessionToken": KEYS["steward"]["sessionToken"]}, ["InvalidToken"]),
            ({"sessionToken": k["sessionToken"][:-8] + "AAAAAAA="}, ["InvalidToken"]),
            ({"sessionToken": None}, ["InvalidToken"]),
            ({"accessKeyId": "AKIAIOSFODNN7EXAMPLE", "sessionToken": None}, ["InvalidAccessKeyId"]),
        ]:
            with self.subTest(change):
                with self.assertRaises(ClientError) as c:
                    client({**k, **change}).put_object(Bucket="neuro", Key="forged", Body=b"x")
                self.assertIn(c.exception.response["Error"]["Code"], codes)
        self.refused(404, None, client("editor").head_object, Bucket="neuro", Key="forged")


class WebIdentity(Case):
    """A pod has a token and environment variables, and no keys."""

    def run_pod(self, code, token_file=os.environ["TOKEN_FILE"]):
        env = {k: v for k, v in os.environ.items() if k not in ("KEYS",)}
        env.update(AWS_WEB_IDENTITY_TOKEN_FILE=token_file, AWS_ROLE_ARN="arn:aws:iam::000000000000:role/pod",
                   AWS_ENDPOINT_URL_S3=ENDPOINT, AWS_ENDPOINT_URL_STS=ENDPOINT, AWS_DEFAULT_REGION="us-east-1")
        return subprocess.run([sys.executable, "-c", "import boto3\ns3 = boto3.client('s3')\n" + code], env=env, capture_output=True, text=True)

    def test_pod(self):
        r = self.run_pod("s3.put_object(Bucket='neuro', Key='pod/x', Body=b'from a pod')\nprint(s3.get_object(Bucket='neuro', Key='pod/x')['Body'].read())")
        self.assertEqual(r.stdout, "b'from a pod'\n", r.stderr)
        r = self.run_pod("s3.get_object(Bucket='neuro', Key='inbox/voice/dropped.csv')")
        self.assertIn("AccessDenied", r.stderr)
        r = self.run_pod("s3.list_objects_v2(Bucket='other')")
        self.assertIn("AccessDenied", r.stderr)

    def test_wrong_token(self):
        r = self.run_pod("s3.list_buckets()", token_file=__file__)
        self.assertIn("InvalidIdentityToken", r.stderr)


if __name__ == "__main__":
    unittest.main()
