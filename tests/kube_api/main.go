// kube-api is a Kubernetes API server for tests: the machinery of a real
// cluster's API server on an etcd, without the cluster. It serves
//
//   - CustomResourceDefinitions and their objects, as kube-apiserver does: schema
//     and CEL validation, defaults, pruning, status, server-side apply, lists in
//     pages, watches with bookmarks, 409, 410, 422;
//   - with --core some built-in kinds (builtin.go), which are decoded strictly if
//     asked but neither validated nor acted upon, and TokenReview,
//     SubjectAccessReview and RBAC (review.go).
//
// There are no controllers, so nothing runs a Deployment or ends a namespace.
//
// The files that it writes into --dir when it listens: apiserver.crt, which is
// its own CA; kubeconfig, for kubectl, without an identity; addresses, a line
// "NAME ADDRESS" for https and, if on, http, written last.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	crdserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	crdoptions "k8s.io/apiextensions-apiserver/pkg/cmd/server/options"
	crdopenapi "k8s.io/apiextensions-apiserver/pkg/generated/openapi"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	authnunion "k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/kubernetes/scheme"
)

var (
	listen     = flag.String("listen", "127.0.0.1:0", "https address")
	plain      = flag.String("http", "", "also serve clear HTTP/1.1 here, the same API; empty: off")
	etcdURL    = flag.String("etcd", "http://127.0.0.1:2379", "etcd endpoints, comma separated")
	prefix     = flag.String("prefix", "/registry", "etcd key prefix; servers with different ones can share an etcd")
	dir        = flag.String("dir", "kube-api.d", "directory for the files that it writes")
	tokens     = flag.String("tokens", "", `file of static tokens, lines TOKEN,USER,UID,"GROUP1,GROUP2"`)
	audiences  = flag.String("audiences", "https://kubernetes.default.svc", "whom the static tokens are for, comma separated; the first is this server")
	authzMode  = flag.String("authz", "allow", "allow: everyone may do everything; rbac: the stored RBAC objects decide (needs --core)")
	anon       = flag.Bool("anonymous", true, "take requests without a token as system:anonymous; false: 401")
	watchCache = flag.Bool("watch-cache", true, "false: lists and watches go to etcd, so a compaction shows as 410 at once")
	compaction = flag.Duration("compaction", 5*time.Minute, "how often etcd is compacted; 0: never")
	minTimeout = flag.Int("min-request-timeout", 1800, "seconds, up to twice that at random, after which a watch is ended")
	core       = flag.Bool("core", false, "also serve built-in kinds and reviews")
)

// Who a token belongs to; nil without --tokens.
var tokenAuthn authenticator.Token

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal("kube-api: ", err)
	}
}

func authn() authenticator.Request {
	var all []authenticator.Request
	if *tokens != "" {
		tokenAuthn = authenticator.WrapAudienceAgnosticToken(
			authenticator.Audiences(strings.Split(*audiences, ",")), must(tokenfile.NewCSV(*tokens)))
		all = append(all, bearertoken.New(tokenAuthn))
	}
	if *anon {
		all = append(all, anonymous.NewAuthenticator(nil))
	}
	return authnunion.NewFailOnError(all...)
}

// The options of apiextensions-apiserver, told by our flags.
func serverOptions(listener net.Listener) *crdoptions.CustomResourceDefinitionsServerOptions {
	options := crdoptions.NewCustomResourceDefinitionsServerOptions(os.Stdout, os.Stderr)
	o := options.RecommendedOptions
	// Each of these wants a kubeconfig of a kube-apiserver to delegate to.
	o.Authentication, o.Authorization, o.CoreAPI, o.Admission = nil, nil, nil, nil
	o.Features.EnablePriorityAndFairness, o.Features.EnableProfiling = false, false
	o.SecureServing.Listener = listener
	o.SecureServing.BindAddress = listener.Addr().(*net.TCPAddr).IP
	o.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port
	o.SecureServing.ServerCert.CertDirectory, o.SecureServing.ServerCert.PairName = *dir, "apiserver"
	o.Etcd.StorageConfig.Transport.ServerList = strings.Split(*etcdURL, ",")
	o.Etcd.StorageConfig.Prefix, o.Etcd.EnableWatchCache = *prefix, *watchCache
	o.Etcd.StorageConfig.CompactionInterval = *compaction
	options.ServerRunOptions.MinRequestTimeout = *minTimeout
	check(options.Complete())
	check(options.Validate())
	check(o.SecureServing.MaybeDefaultWithSelfSignedCerts("localhost", nil, []net.IP{net.IPv4(127, 0, 0, 1)}))
	return options
}

func serverConfig(options *crdoptions.CustomResourceDefinitionsServerOptions) *genericapiserver.RecommendedConfig {
	config := genericapiserver.NewRecommendedConfig(crdserver.Codecs)
	check(options.ServerRunOptions.ApplyTo(&config.Config))
	check(options.RecommendedOptions.ApplyTo(config))
	check(options.APIEnablement.ApplyTo(&config.Config, crdserver.DefaultAPIResourceConfigSource(), crdserver.Scheme))
	config.Authentication.Authenticator = authn()
	config.Authorization.Authorizer = authorizerfactory.NewAlwaysAllowAuthorizer()
	if *authzMode == "rbac" {
		config.Authorization.Authorizer = authorizer.AuthorizerFunc(rbacAuthorizer)
	}
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(
		crdopenapi.GetOpenAPIDefinitions, openapinamer.NewDefinitionNamer(crdserver.Scheme, scheme.Scheme))
	return config
}

func newServer(options *crdoptions.CustomResourceDefinitionsServerOptions) *crdserver.CustomResourceDefinitions {
	config, etcd := serverConfig(options), *options.RecommendedOptions.Etcd
	delegate := genericapiserver.NewEmptyDelegate()
	if *core {
		delegate = newBuiltin(config, etcd)
	}
	var server *crdserver.CustomResourceDefinitions
	config.BuildHandlerChainFunc = func(next http.Handler, c *genericapiserver.Config) http.Handler {
		handler := func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/apis" {
				serveGroups(server, w)
			} else {
				next.ServeHTTP(w, r)
			}
		}
		return genericapiserver.DefaultBuildHandlerChain(http.HandlerFunc(handler), c)
	}
	server = must((&crdserver.Config{
		GenericConfig: config,
		ExtraConfig: crdserver.ExtraConfig{
			CRDRESTOptionsGetter: crdoptions.NewCRDRESTOptionsGetter(etcd, config.ResourceTransformers, config.StorageObjectCountTracker),
			ServiceResolver:      webhook.NewDefaultServiceResolver(),
			MasterCount:          1,
		}}).Complete().New(delegate))
	return server
}

// Without a name and a password kubectl asks for them; the server ignores both.
const kubeconfig = `apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: nobody}}]
users: [{name: nobody, user: {username: nobody, password: none}}]
clusters: [{name: test, cluster: {server: "https://%s", certificate-authority: apiserver.crt}}]
`

// Writes a file so that nobody sees a part of it.
func write(name, text string) {
	path := filepath.Join(*dir, name)
	check(os.WriteFile(path+".tmp", []byte(text), 0o600))
	check(os.Rename(path+".tmp", path))
}

func main() {
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatalf("kube-api: unknown argument %q", flag.Arg(0))
	}
	check(os.MkdirAll(*dir, 0o700))
	listener := must(net.Listen("tcp", *listen))
	server := newServer(serverOptions(listener)).GenericAPIServer
	prepared := server.PrepareRun()
	addresses := fmt.Sprintln("https", listener.Addr())
	if *plain != "" {
		l := must(net.Listen("tcp", *plain))
		addresses += fmt.Sprintln("http", l.Addr())
		go func() { check(http.Serve(l, server.Handler)) }()
	}
	write("kubeconfig", fmt.Sprintf(kubeconfig, listener.Addr()))
	write("addresses", addresses)
	check(prepared.RunWithContext(genericapiserver.SetupSignalContext()))
}
