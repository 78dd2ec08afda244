"""Stand-ins for what cannot be had on a laptop: AWS, a CA, somebody in between.

Tests import them as ``from fakes.aws import FakeAws``. That works in every test
folder and against an installed wheel too, because ``pythonpath = tests`` in
setup.cfg puts ``tests`` on the path. ``evtrig.tests.fakes`` would be found only
in an editable install, and a conftest can hand out fixtures but not names.

In a process of its own: ``python tests/fakes/aws.py --help``.

========================  ========================================================
``fakes.aws``             ``FakeAws``: the HTTP server and where everything hangs
``fakes.faults``          what can be made to go wrong, and when
``fakes.service``         what every service shares: errors, clock, arrival log
``fakes.sqs``             queues
``fakes.sns``             topics
``fakes.kinesis``         streams: PutRecords
``fakes.eventbridge``     event buses: PutEvents
``fakes.sts``             GetCallerIdentity
``fakes.message``         what the messages of SQS and SNS have in common
``fakes.deduplication``   what a FIFO queue or topic remembers
``fakes.query``           the protocol of SNS and STS
``fakes.s3``              PutObject and GetObject
``fakes.secretsmanager``  GetSecretValue
``fakes.ministack``       another AWS emulator, by others: a second opinion
``fakes.certificates``    a certificate authority, certificates good and bad
``fakes.mysql``           an eavesdropper and an impostor in place of a server
========================  ========================================================
"""
