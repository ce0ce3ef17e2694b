// Package access decides who may do what over HTTP: users and API tokens as a plain value, the first run, log
// in, sessions, the guard in front of the API, the audit log and the certificate of the listener. It knows
// nothing of what it guards.
package access
