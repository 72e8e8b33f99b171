"""Pulls an artifact from a registry without TLS: python pull.py REFERENCE DIRECTORY"""

import sys

from oras.client import OrasClient

reference, directory = sys.argv[1:]
for path in OrasClient(insecure=True).pull(target=reference, outdir=directory):
    print(path)
