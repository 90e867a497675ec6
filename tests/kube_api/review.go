package main

import (
	"context"
	"slices"
	"strings"

	authnv1 "k8s.io/api/authentication/v1"
	authzv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Answers a TokenReview by --tokens and a SubjectAccessReview by the stored RBAC
// objects.
type review struct {
	name string
	new  func() runtime.Object
}

func (r review) New() runtime.Object     { return r.new() }
func (r review) Destroy()                {}
func (r review) NamespaceScoped() bool   { return false }
func (r review) GetSingularName() string { return r.name }

func (r review) Create(ctx context.Context, object runtime.Object, _ rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	switch t := object.(type) {
	case *authnv1.TokenReview:
		reviewToken(ctx, t)
	case *authzv1.SubjectAccessReview:
		reviewAccess(ctx, t)
	}
	return object, nil
}

func reviewToken(ctx context.Context, t *authnv1.TokenReview) {
	if tokenAuthn == nil {
		return
	}
	// As kube-apiserver: of a review that names no audience, its own.
	wanted := t.Spec.Audiences
	if len(wanted) == 0 {
		wanted = strings.Split(*audiences, ",")[:1]
	}
	result, ok, err := tokenAuthn.AuthenticateToken(authenticator.WithAudiences(ctx, wanted), t.Spec.Token)
	if err != nil {
		t.Status.Error = err.Error()
	}
	if err != nil || !ok {
		return
	}
	u := result.User
	t.Status = authnv1.TokenReviewStatus{
		Authenticated: true,
		Audiences:     result.Audiences,
		User:          authnv1.UserInfo{Username: u.GetName(), UID: u.GetUID(), Groups: u.GetGroups()},
	}
}

func reviewAccess(ctx context.Context, t *authzv1.SubjectAccessReview) {
	a := authorizer.AttributesRecord{User: &user.DefaultInfo{Name: t.Spec.User, Groups: t.Spec.Groups}}
	if x := t.Spec.ResourceAttributes; x != nil {
		a.ResourceRequest, a.Verb, a.Namespace, a.Name = true, x.Verb, x.Namespace, x.Name
		a.APIGroup, a.Resource, a.Subresource = x.Group, x.Resource, x.Subresource
	} else if x := t.Spec.NonResourceAttributes; x != nil {
		a.Verb, a.Path = x.Verb, x.Path
	}
	decision, why, _ := rbacAuthorizer(ctx, a)
	t.Status = authzv1.SubjectAccessReviewStatus{Allowed: decision == authorizer.DecisionAllow, Reason: why}
}

func stored[L runtime.Object](plural, namespace string) L {
	ctx := request.WithNamespace(context.Background(), namespace)
	return must(stores[plural].List(ctx, &internalversion.ListOptions{})).(L)
}

// Whether the caller is among the subjects of a binding in `namespace`.
func isSubject(a authorizer.Attributes, namespace string, subjects []rbacv1.Subject) bool {
	u := a.GetUser()
	return slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool {
		switch s.Kind {
		case "User":
			return s.Name == u.GetName()
		case "Group":
			return slices.Contains(u.GetGroups(), s.Name)
		}
		home := s.Namespace
		if home == "" {
			home = namespace
		}
		return u.GetName() == "system:serviceaccount:"+home+":"+s.Name
	})
}

// Whether a list of a rule names one of `values`, or everything.
func matches(list []string, values ...string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return s == "*" || slices.Contains(values, s) })
}

func grants(a authorizer.Attributes, rule rbacv1.PolicyRule) bool {
	if !matches(rule.Verbs, a.GetVerb()) {
		return false
	}
	if !a.IsResourceRequest() {
		return slices.ContainsFunc(rule.NonResourceURLs, func(url string) bool {
			stem, open := strings.CutSuffix(url, "*")
			return url == a.GetPath() || open && strings.HasPrefix(a.GetPath(), stem)
		})
	}
	resource := []string{a.GetResource()}
	if a.GetSubresource() != "" {
		resource = []string{a.GetResource() + "/" + a.GetSubresource(), "*/" + a.GetSubresource()}
	}
	return matches(rule.APIGroups, a.GetAPIGroup()) && matches(rule.Resources, resource...) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, a.GetName()))
}

func rulesOf(ref rbacv1.RoleRef, namespace string) []rbacv1.PolicyRule {
	if ref.Kind == "Role" {
		for _, r := range stored[*rbacv1.RoleList]("roles", namespace).Items {
			if r.Name == ref.Name {
				return r.Rules
			}
		}
		return nil
	}
	for _, r := range stored[*rbacv1.ClusterRoleList]("clusterroles", "").Items {
		if r.Name == ref.Name {
			return r.Rules
		}
	}
	return nil
}

// Judges by the stored objects at each request, so a change counts at once.
// Subjects of kind ServiceAccount are users system:serviceaccount:NAMESPACE:NAME.
func rbacAuthorizer(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if slices.Contains(a.GetUser().GetGroups(), user.SystemPrivilegedGroup) {
		return authorizer.DecisionAllow, "", nil
	}
	allowed := func(namespace string, subjects []rbacv1.Subject, ref rbacv1.RoleRef) bool {
		return isSubject(a, namespace, subjects) &&
			slices.ContainsFunc(rulesOf(ref, namespace), func(r rbacv1.PolicyRule) bool { return grants(a, r) })
	}
	for _, b := range stored[*rbacv1.ClusterRoleBindingList]("clusterrolebindings", "").Items {
		if allowed("", b.Subjects, b.RoleRef) {
			return authorizer.DecisionAllow, "ClusterRoleBinding " + b.Name, nil
		}
	}
	if namespace := a.GetNamespace(); namespace != "" {
		for _, b := range stored[*rbacv1.RoleBindingList]("rolebindings", namespace).Items {
			if allowed(namespace, b.Subjects, b.RoleRef) {
				return authorizer.DecisionAllow, "RoleBinding " + namespace + "/" + b.Name, nil
			}
		}
	}
	return authorizer.DecisionNoOpinion, "no RBAC rule matched", nil
}
