// Package web is the API of one peer over HTTP: the types that it speaks, the Node that it asks, and the
// handler. The OpenAPI document, checks of what comes in and problem details (RFC 9457) all come from the
// types. It knows the vocabulary of the product and nothing of how a peer works.
package web
