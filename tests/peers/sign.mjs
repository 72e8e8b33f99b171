// Signs a file: node sign.mjs SIGNING_CONFIG TOKEN FILE BUNDLE [PAYLOAD_TYPE]
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

// The packages are where they were installed, which is not beside this file.
const need = createRequire(`${process.env.PEERS}/package.json`);
const { bundleToJSON } = need('@sigstore/bundle');
const { DSSEBundleBuilder, FulcioSigner, MessageSignatureBundleBuilder, RekorWitness } = need('@sigstore/sign');

const [config, token, file, to, type] = process.argv.slice(2);
const { caUrls, rekorTlogUrls } = JSON.parse(readFileSync(config, 'utf8'));
const signer = new FulcioSigner({
  fulcioBaseURL: caUrls[0].url,
  identityProvider: { getToken: async () => token },
});
const witnesses = [new RekorWitness({ rekorBaseURL: rekorTlogUrls[0].url })];
const Builder = type ? DSSEBundleBuilder : MessageSignatureBundleBuilder;
const bundle = await new Builder({ signer, witnesses }).create({ data: readFileSync(file), type });
writeFileSync(to, JSON.stringify(bundleToJSON(bundle)));
