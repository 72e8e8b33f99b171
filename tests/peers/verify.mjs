// Verifies a bundle: node verify.mjs BUNDLE TRUSTED_ROOT IDENTITY ISSUER FILE
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

// The packages are where they were installed, which is not beside this file.
const need = createRequire(`${process.env.PEERS}/package.json`);
const { bundleFromJSON } = need('@sigstore/bundle');
const { TrustedRoot } = need('@sigstore/protobuf-specs');
const { toSignedEntity, toTrustMaterial, Verifier } = need('@sigstore/verify');

const [bundle, root, identity, issuer, file] = process.argv.slice(2);
const json = (path) => JSON.parse(readFileSync(path, 'utf8'));
const entity = toSignedEntity(bundleFromJSON(json(bundle)), readFileSync(file));
const trust = toTrustMaterial(TrustedRoot.fromJSON(json(root)));
const escaped = identity.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
new Verifier(trust).verify(entity, { subjectAlternativeName: `^${escaped}$`, extensions: { issuer } });
