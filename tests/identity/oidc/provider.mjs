// An OpenID provider (npm oidc-provider) for tests: provider.mjs FILE
//
// FILE is JSON: issuer, address, port, cert, key (PEM files), algorithms, clients
// ({id, secret}), resources ({URL: {ttl, algorithm}}), and jwks: a JSON file with the
// private keys, the first of each algorithm signs. SIGHUP reads `jwks` again: the
// provider has other keys then, and knows nothing of tokens made before.
import {readFileSync} from 'node:fs';
import {createServer} from 'node:https';
import Provider, {errors} from 'oidc-provider';

const settings = JSON.parse(readFileSync(process.argv[2]));

function callback() {
  const provider = new Provider(settings.issuer, {
    jwks: JSON.parse(readFileSync(settings.jwks)),
    clients: settings.clients.map(({id, secret}) => ({
      client_id: id,
      client_secret: secret,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    })),
    enabledJWA: {
      clientAuthSigningAlgValues: ['RS256'],
      idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256'],
    },
    features: {
      devInteractions: {enabled: false},
      clientCredentials: {enabled: true},
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo(_, resource) {
          const info = settings.resources[resource];
          if (!info) throw new errors.InvalidTarget();
          return {
            scope: 'read write',
            accessTokenFormat: 'jwt',
            accessTokenTTL: info.ttl,
            jwt: {sign: {alg: info.algorithm}},
          };
        },
      },
    },
    extraTokenClaims(_, token) {
      return {groups: settings.groups[token.clientId] ?? []};
    },
  });
  return provider.callback();
}

let answer = callback();
process.on('SIGHUP', () => {
  answer = callback();
  console.log('keys read');
});
createServer({cert: readFileSync(settings.cert), key: readFileSync(settings.key)},
  (request, response) => answer(request, response))
  .listen(settings.port, settings.address, () => console.log('listening'));
