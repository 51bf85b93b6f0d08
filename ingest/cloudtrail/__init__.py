"""AWS CloudTrail: records, fields, files, SQS and S3."""
