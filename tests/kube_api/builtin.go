package main

import (
	"context"
	"reflect"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	authnv1 "k8s.io/api/authentication/v1"
	authzv1 "k8s.io/api/authorization/v1"
	coordv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/util"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

type builtinKind struct {
	version          schema.GroupVersion
	plural, singular string
	namespaced       bool
	object, list     runtime.Object // Without a list it is a review.
}

var builtinKinds = []builtinKind{
	{corev1.SchemeGroupVersion, "namespaces", "namespace", false, &corev1.Namespace{}, &corev1.NamespaceList{}},
	{corev1.SchemeGroupVersion, "services", "service", true, &corev1.Service{}, &corev1.ServiceList{}},
	{corev1.SchemeGroupVersion, "endpoints", "endpoints", true, &corev1.Endpoints{}, &corev1.EndpointsList{}},
	{corev1.SchemeGroupVersion, "pods", "pod", true, &corev1.Pod{}, &corev1.PodList{}},
	{corev1.SchemeGroupVersion, "secrets", "secret", true, &corev1.Secret{}, &corev1.SecretList{}},
	{corev1.SchemeGroupVersion, "configmaps", "configmap", true, &corev1.ConfigMap{}, &corev1.ConfigMapList{}},
	{corev1.SchemeGroupVersion, "serviceaccounts", "serviceaccount", true, &corev1.ServiceAccount{}, &corev1.ServiceAccountList{}},
	{corev1.SchemeGroupVersion, "persistentvolumeclaims", "persistentvolumeclaim", true, &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolumeClaimList{}},
	{corev1.SchemeGroupVersion, "events", "event", true, &corev1.Event{}, &corev1.EventList{}},
	{appsv1.SchemeGroupVersion, "deployments", "deployment", true, &appsv1.Deployment{}, &appsv1.DeploymentList{}},
	{appsv1.SchemeGroupVersion, "statefulsets", "statefulset", true, &appsv1.StatefulSet{}, &appsv1.StatefulSetList{}},
	{policyv1.SchemeGroupVersion, "poddisruptionbudgets", "poddisruptionbudget", true, &policyv1.PodDisruptionBudget{}, &policyv1.PodDisruptionBudgetList{}},
	{networkingv1.SchemeGroupVersion, "networkpolicies", "networkpolicy", true, &networkingv1.NetworkPolicy{}, &networkingv1.NetworkPolicyList{}},
	{discoveryv1.SchemeGroupVersion, "endpointslices", "endpointslice", true, &discoveryv1.EndpointSlice{}, &discoveryv1.EndpointSliceList{}},
	{coordv1.SchemeGroupVersion, "leases", "lease", true, &coordv1.Lease{}, &coordv1.LeaseList{}},
	{rbacv1.SchemeGroupVersion, "roles", "role", true, &rbacv1.Role{}, &rbacv1.RoleList{}},
	{rbacv1.SchemeGroupVersion, "rolebindings", "rolebinding", true, &rbacv1.RoleBinding{}, &rbacv1.RoleBindingList{}},
	{rbacv1.SchemeGroupVersion, "clusterroles", "clusterrole", false, &rbacv1.ClusterRole{}, &rbacv1.ClusterRoleList{}},
	{rbacv1.SchemeGroupVersion, "clusterrolebindings", "clusterrolebinding", false, &rbacv1.ClusterRoleBinding{}, &rbacv1.ClusterRoleBindingList{}},
	{authnv1.SchemeGroupVersion, "tokenreviews", "tokenreview", false, &authnv1.TokenReview{}, nil},
	{authzv1.SchemeGroupVersion, "subjectaccessreviews", "subjectaccessreview", false, &authzv1.SubjectAccessReview{}, nil},
}

var (
	builtinScheme = runtime.NewScheme()
	builtinCodecs = serializer.NewCodecFactory(builtinScheme)
	stores        = map[string]*registry.Store{} // By plural name.
)

// Stores what it is given: no defaults, no validation beyond the metadata.
type strategy struct {
	runtime.ObjectTyper
	names.NameGenerator
	namespaced bool
}

func (s strategy) NamespaceScoped() bool                                  { return s.namespaced }
func (strategy) PrepareForCreate(context.Context, runtime.Object)         {}
func (strategy) PrepareForUpdate(_ context.Context, _, _ runtime.Object)  {}
func (strategy) Validate(context.Context, runtime.Object) field.ErrorList { return nil }
func (strategy) ValidateUpdate(_ context.Context, _, _ runtime.Object) field.ErrorList {
	return nil
}
func (strategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }
func (strategy) WarningsOnUpdate(_ context.Context, _, _ runtime.Object) []string {
	return nil
}
func (strategy) AllowCreateOnUpdate(context.Context) bool      { return false }
func (strategy) AllowUnconditionalUpdate(context.Context) bool { return true }
func (strategy) Canonicalize(runtime.Object)                   {}

// A function that makes objects of the type of `example`.
func maker(example runtime.Object) func() runtime.Object {
	t := reflect.TypeOf(example).Elem()
	return func() runtime.Object { return reflect.New(t).Interface().(runtime.Object) }
}

// Makes the types known, and returns the versions in the order of the table.
func registerKinds() []schema.GroupVersion {
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, policyv1.AddToScheme, networkingv1.AddToScheme,
		discoveryv1.AddToScheme, coordv1.AddToScheme, rbacv1.AddToScheme, authnv1.AddToScheme, authzv1.AddToScheme,
	} {
		check(add(builtinScheme))
	}
	var versions []schema.GroupVersion
	for _, k := range builtinKinds {
		// The published types serve as the internal ones, so nothing is converted.
		internal := schema.GroupVersion{Group: k.version.Group, Version: runtime.APIVersionInternal}
		builtinScheme.AddKnownTypes(internal, k.object)
		if k.list != nil {
			builtinScheme.AddKnownTypes(internal, k.list)
		}
		if !slices.Contains(versions, k.version) {
			versions = append(versions, k.version)
			check(builtinScheme.SetVersionPriority(k.version))
		}
	}
	return versions
}

// Server-side apply wants a schema of every kind: one that lets all pass, since
// decoding has checked the fields already.
func openAPI(common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	open := spec.Schema{
		SchemaProps:      spec.SchemaProps{Type: []string{"object"}},
		VendorExtensible: spec.VendorExtensible{Extensions: spec.Extensions{"x-kubernetes-preserve-unknown-fields": true}},
	}
	definitions := map[string]common.OpenAPIDefinition{}
	for _, k := range builtinKinds {
		definitions[util.GetCanonicalTypeName(k.object)] = common.OpenAPIDefinition{Schema: open}
	}
	return definitions
}

func newStorage(k builtinKind, restOptions generic.RESTOptionsGetter) rest.Storage {
	if k.list == nil {
		return review{k.singular, maker(k.object)}
	}
	s := strategy{builtinScheme, names.SimpleNameGenerator, k.namespaced}
	resource := k.version.WithResource(k.plural).GroupResource()
	store := &registry.Store{
		NewFunc: maker(k.object), NewListFunc: maker(k.list),
		DefaultQualifiedResource:  resource,
		SingularQualifiedResource: schema.GroupResource{Group: k.version.Group, Resource: k.singular},
		CreateStrategy:            s, UpdateStrategy: s, DeleteStrategy: s,
		TableConvertor: rest.NewDefaultTableConvertor(resource),
	}
	check(store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: restOptions}))
	stores[k.plural] = store
	return store
}

// The server of the built-in kinds, to which that of the
// CustomResourceDefinitions delegates what it does not know.
func newBuiltin(base *genericapiserver.RecommendedConfig, etcd options.EtcdOptions) genericapiserver.DelegationTarget {
	versions := registerKinds()
	etcd.StorageConfig.Codec = builtinCodecs.LegacyCodec(versions...)
	config := *base
	config.Serializer = builtinCodecs
	config.RESTOptionsGetter = etcd.CreateRESTOptionsGetter(
		&options.SimpleStorageFactory{StorageConfig: etcd.StorageConfig}, base.ResourceTransformers)
	config.EnableDiscovery, config.SkipOpenAPIInstallation = false, true
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(openAPI, openapinamer.NewDefinitionNamer(builtinScheme))
	server := must(config.Complete().New("builtin", genericapiserver.NewEmptyDelegate()))
	for _, gv := range versions {
		storage := map[string]rest.Storage{}
		for _, k := range builtinKinds {
			if k.version == gv {
				storage[k.plural] = newStorage(k, config.RESTOptionsGetter)
			}
		}
		info := genericapiserver.NewDefaultAPIGroupInfo(gv.Group, builtinScheme, metav1.ParameterCodec, builtinCodecs)
		info.VersionedResourcesStorageMap[gv.Version] = storage
		if gv.Group == "" {
			check(server.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, &info))
		} else {
			check(server.InstallAPIGroup(&info))
			builtinGroups = append(builtinGroups, gv)
		}
	}
	return server
}
