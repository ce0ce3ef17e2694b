package web

import "time"

// The types of who has access. No answer holds a password, its hash or the secret of a token that exists.

// LoginRequest is what somebody shows to get a session.
type LoginRequest struct {
	Name     string `json:"name" maxLength:"100" doc:"Name of the user"`
	Password string `json:"password" maxLength:"2000" doc:"Their password"`
	Code     string `json:"code,omitempty" maxLength:"100" doc:"Code of the authenticator app, or a recovery code; ask for it when a problem of type urn:drawbridge:problem:totp-needed says so"`
}

// FirstRunRequest makes the first admin.
type FirstRunRequest struct {
	Code     string `json:"code" maxLength:"200" doc:"The eight words from the log or the local console"`
	Name     string `json:"name" maxLength:"100" doc:"Name of the admin"`
	Password string `json:"password" maxLength:"2000" doc:"Their password, at least 12 characters"`
}

// FirstRunCode is what makes the first admin.
type FirstRunCode struct {
	Code string `json:"code" doc:"Eight words; empty when there are users"`
}

// SessionInfo says who asks, and what the log in page needs to know.
type SessionInfo struct {
	LoggedIn    bool      `json:"logged_in" doc:"Whether somebody is known"`
	Name        string    `json:"name,omitempty" doc:"Who: a user, unix:NAME at the local socket, oidc:NAME from an issuer, token:ID"`
	Role        string    `json:"role,omitempty" enum:"viewer,operator,admin" doc:"What they may do"`
	By          string    `json:"by,omitempty" enum:"session,token,socket" doc:"How they are known"`
	Expires     time.Time `json:"expires,omitzero" doc:"When the session or the token ends at the latest"`
	FirstRun    bool      `json:"first_run" doc:"There are no users yet: ask for the one-time code"`
	Issuer      string    `json:"issuer,omitempty" doc:"Name of the OpenID Connect issuer by which people can log in, too"`
	Peer        string    `json:"peer" doc:"Name of this peer"`
	Fingerprint string    `json:"fingerprint,omitempty" doc:"SHA-256 of this peer's certificate, to compare with what the browser shows"`
}

// User is one person who has access.
type User struct {
	Name         string    `json:"name" doc:"Name of the user"`
	Role         string    `json:"role" enum:"viewer,operator,admin" doc:"What they may do"`
	Disabled     bool      `json:"disabled" doc:"Whether they are kept from logging in"`
	TOTP         bool      `json:"totp" doc:"Whether log in takes a code of an authenticator app"`
	RecoveryLeft int       `json:"recovery_left" doc:"Recovery codes that were not used yet"`
	Created      time.Time `json:"created" doc:"When they were made"`
	Changed      time.Time `json:"changed" doc:"When the password was set"`
	Sessions     int       `json:"sessions" doc:"Log ins on this peer that have not ended"`
}

// UserRequest makes a user.
type UserRequest struct {
	Name     string `json:"name" doc:"1 to 32 of a-z, 0-9, '.', '_' and '-'"`
	Role     string `json:"role" enum:"viewer,operator,admin" doc:"What they may do"`
	Password string `json:"password" maxLength:"2000" doc:"At least 12 characters"`
}

// UserChange changes what it names.
type UserChange struct {
	Role     *string `json:"role,omitempty" enum:"viewer,operator,admin" doc:"What they may do from the next request on"`
	Disabled *bool   `json:"disabled,omitempty" doc:"Whether they are kept from logging in; sessions and tokens end at once"`
}

// PasswordRequest sets somebody else's password.
type PasswordRequest struct {
	Password string `json:"password" maxLength:"2000" doc:"At least 12 characters; sessions of the user end"`
}

// OwnPasswordRequest sets one's own password.
type OwnPasswordRequest struct {
	Current  string `json:"current" maxLength:"2000" doc:"The password until now"`
	Password string `json:"password" maxLength:"2000" doc:"At least 12 characters; other sessions end"`
}

// Confirmation is the password once more.
type Confirmation struct {
	Password string `json:"password" maxLength:"2000" doc:"The current password"`
}

// TOTPSecret begins two-factor log in. It is good for ten minutes, until a code of it was shown.
type TOTPSecret struct {
	Secret string `json:"secret" doc:"Base32, to type into an authenticator app"`
	URI    string `json:"uri" doc:"The same as otpauth URI, for a QR code"`
}

// TOTPCode proves that the app has the secret.
type TOTPCode struct {
	Code string `json:"code" maxLength:"10" doc:"The six digits that the app shows"`
}

// RecoveryCodes are for the day when the phone is lost.
type RecoveryCodes struct {
	Codes []string `json:"codes" doc:"Each is good for one log in; they are shown this once"`
}

// AccessToken is a key for programs, without its secret.
type AccessToken struct {
	ID       string    `json:"id" doc:"Ten hexadecimal digits; not a secret"`
	Owner    string    `json:"owner,omitempty" doc:"User whose role bounds it; empty: made on the host"`
	Comment  string    `json:"comment,omitempty" doc:"What it is for"`
	Role     string    `json:"role" enum:"viewer,operator,admin" doc:"What it may do, as far as its owner may"`
	Prefix   string    `json:"prefix,omitempty" doc:"Only this path and those below; empty: all"`
	Created  time.Time `json:"created" doc:"When it was made"`
	Expires  time.Time `json:"expires" doc:"When it ends"`
	LastUsed time.Time `json:"last_used,omitzero" doc:"When it was last used, to the hour"`
}

// AccessTokenRequest asks for a key.
type AccessTokenRequest struct {
	Role    string `json:"role" enum:"viewer,operator,admin" doc:"What it may do; not more than who asks"`
	Prefix  string `json:"prefix,omitempty" maxLength:"200" doc:"Only this path and those below" example:"/api/v1/macs"`
	Comment string `json:"comment,omitempty" maxLength:"200" doc:"What it is for"`
	TTLS    int64  `json:"ttl_s,omitempty" minimum:"0" maximum:"157680000" doc:"Seconds until it ends; 0: 90 days"`
}

// NewAccessToken is a key, shown this once.
type NewAccessToken struct {
	Token string      `json:"token" doc:"Send it as Authorization: Bearer; a secret"`
	Info  AccessToken `json:"info" doc:"What the list will show"`
}

// Session is one log in on this peer.
type Session struct {
	ID      string    `json:"id" doc:"Sixteen hexadecimal digits; not a secret"`
	User    string    `json:"user" doc:"Who logged in"`
	From    string    `json:"from" doc:"Address of the browser"`
	Agent   string    `json:"agent" doc:"What the browser calls itself"`
	Began   time.Time `json:"began" doc:"When they logged in"`
	Seen    time.Time `json:"seen" doc:"When it was last used"`
	Expires time.Time `json:"expires" doc:"When it ends if it is not used"`
	Own     bool      `json:"own" doc:"Whether it is the one that asks"`
}

// Ended says how many sessions ended.
type Ended struct {
	Ended int `json:"ended" doc:"Sessions that ended"`
}

// Certificate is what this peer shows to browsers.
type Certificate struct {
	Fingerprint string    `json:"fingerprint" doc:"SHA-256 in pairs of hexadecimal digits, as browsers show it"`
	Subject     string    `json:"subject" doc:"Whom it is for"`
	Issuer      string    `json:"issuer" doc:"Who signed it"`
	Names       []string  `json:"names" doc:"Host names and addresses that it is good for"`
	NotBefore   time.Time `json:"not_before" doc:"From when on it is valid"`
	NotAfter    time.Time `json:"not_after" doc:"When it expires"`
	SelfSigned  bool      `json:"self_signed" doc:"Whether nobody else signed it: compare the fingerprint"`
	Key         string    `json:"key" doc:"Kind of its key"`
	ACME        bool      `json:"acme" doc:"Whether an ACME authority is asked for certificates; this one is shown until it gives one"`
}

// CertificateRequest replaces the certificate.
type CertificateRequest struct {
	Certificate string `json:"certificate" maxLength:"65536" doc:"PEM of the certificate, then of those who signed it"`
	PrivateKey  string `json:"private_key" maxLength:"65536" doc:"PEM of its key, not encrypted"`
}

// ACMERequest has an authority give certificates (RFC 8555). Sending it agrees to the authority's terms.
type ACMERequest struct {
	Hosts     []string `json:"hosts" minItems:"1" maxItems:"10" doc:"DNS names of this peer; the authority must reach it there, at port 443"`
	Email     string   `json:"email,omitempty" maxLength:"200" doc:"Whom the authority tells that something is wrong"`
	Directory string   `json:"directory,omitempty" maxLength:"500" doc:"URL of the authority; empty: Let's Encrypt"`
}

// Issuer says who else vouches for people (OpenID Connect).
type Issuer struct {
	Name         string            `json:"name" maxLength:"100" doc:"What the button says"`
	Issuer       string            `json:"issuer" doc:"URL of the issuer"`
	ClientID     string            `json:"client_id" doc:"What the issuer calls this network"`
	ClientSecret string            `json:"client_secret,omitempty" doc:"What the issuer knows it by; never shown; left out: as before"`
	RedirectURL  string            `json:"redirect_url" doc:"Where the issuer sends people back to: https://CONSOLE/api/v1/oidc/callback, or https://{host}/api/v1/oidc/callback for the console that the browser is at, when the issuer knows all of them"`
	NameClaim    string            `json:"name_claim,omitempty" doc:"Claim that has the name; empty: preferred_username"`
	RoleClaim    string            `json:"role_claim" doc:"Claim that decides on the role, a text or a list of texts" example:"groups"`
	Roles        map[string]string `json:"roles" doc:"Role by value of that claim; the strongest counts, and who has none stays out"`
	Scopes       []string          `json:"scopes,omitempty" doc:"What to ask for beside openid and profile"`
}

// AuditRecord is a change that somebody made or tried to make on this peer.
type AuditRecord struct {
	ID      uint64    `json:"id" doc:"Grows from record to record"`
	Time    time.Time `json:"time" doc:"When"`
	Who     string    `json:"who" doc:"Who; empty: nobody who was known"`
	By      string    `json:"by,omitempty" enum:"session,token,socket" doc:"How they were known"`
	Token   string    `json:"token,omitempty" doc:"ID of the token"`
	From    string    `json:"from" doc:"Address that it came from; local: the socket"`
	Method  string    `json:"method" doc:"Method of the request"`
	Path    string    `json:"path" doc:"Path of the request"`
	Request string    `json:"request" doc:"ID of the request (X-Request-Id)"`
	Status  int       `json:"status" doc:"Status of the answer"`
	Reason  string    `json:"reason,omitempty" doc:"Why it was refused"`
	Before  any       `json:"before,omitempty" doc:"What was there before, without secrets"`
	After   any       `json:"after,omitempty" doc:"What is there after it, or what was asked for, without secrets"`
}
