package main

import (
	"net/http"
	"slices"

	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
)

// Groups of built-in kinds, besides those of the CustomResourceDefinitions.
var builtinGroups []schema.GroupVersion

// Answers GET /apis, as kube-aggregator does in a cluster. kubectl asks for it.
func serveGroups(server *crdserver.CustomResourceDefinitions, w http.ResponseWriter) {
	versions := append([]schema.GroupVersion{apiextv1.SchemeGroupVersion}, builtinGroups...)
	crds := server.Informers.Apiextensions().V1().CustomResourceDefinitions().Lister()
	for _, crd := range must(crds.List(labels.Everything())) {
		for _, v := range crd.Spec.Versions {
			if v.Served {
				versions = append(versions, schema.GroupVersion{Group: crd.Spec.Group, Version: v.Name})
			}
		}
	}
	list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
	for _, gv := range versions {
		v := metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: gv.Version}
		i := slices.IndexFunc(list.Groups, func(g metav1.APIGroup) bool { return g.Name == gv.Group })
		if i < 0 {
			list.Groups = append(list.Groups, metav1.APIGroup{
				Name: gv.Group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v})
		} else if !slices.Contains(list.Groups[i].Versions, v) {
			list.Groups[i].Versions = append(list.Groups[i].Versions, v)
		}
	}
	responsewriters.WriteRawJSON(http.StatusOK, list, w)
}
