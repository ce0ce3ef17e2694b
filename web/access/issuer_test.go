package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// fakeIssuer is a small OpenID provider.
type fakeIssuer struct {
	*httptest.Server
	key    *ecdsa.PrivateKey
	claims map[string]any // beside those that it adds
	lie    func(map[string]any)

	nonce, challenge string // of the log in that began last
}

func newIssuer(t *testing.T) *fakeIssuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &fakeIssuer{key: key, lie: func(map[string]any) {}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": i.URL, "authorization_endpoint": i.URL + "/auth", "token_endpoint": i.URL + "/token", "jwks_uri": i.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"ES256"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		point, _ := key.PublicKey.Bytes()
		b64 := base64.RawURLEncoding
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]any{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "1", "x": b64.EncodeToString(point[1:33]), "y": b64.EncodeToString(point[33:])}}})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		if base64.RawURLEncoding.EncodeToString(sum[:]) != i.challenge || r.FormValue("code") != "good" {
			w.WriteHeader(400)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": i.token()})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

// token is a signed ID token (JWS compact serialization, RFC 7515).
func (i *fakeIssuer) token() string {
	claims := map[string]any{"iss": i.URL, "aud": "console", "sub": "u1", "nonce": i.nonce, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	for k, v := range i.claims {
		claims[k] = v
	}
	i.lie(claims)
	body, _ := json.Marshal(claims)
	b64 := base64.RawURLEncoding
	signed := b64.EncodeToString([]byte(`{"alg":"ES256","kid":"1"}`)) + "." + b64.EncodeToString(body)
	sum := sha256.Sum256([]byte(signed))
	r, s, _ := ecdsa.Sign(rand.Reader, i.key, sum[:])
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return signed + "." + b64.EncodeToString(sig)
}

func (i *fakeIssuer) settings() *OIDC {
	return &OIDC{
		Name: "Example", Issuer: i.URL, ClientID: "console", ClientSecret: "s", RedirectURL: "https://gw.example" + oidcCallback,
		RoleClaim: "groups", Roles: map[string]Role{"noc": Operator, "boss": Admin, "all": Viewer},
	}
}

// journey begins a log in and notes what the issuer was told.
func (i *fakeIssuer) journey(t *testing.T, b *bench) (state, cookie string) {
	t.Helper()
	to, set, err := b.StartIssuer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(to)
	q := u.Query()
	if q.Get("code_challenge_method") != "S256" || q.Get("redirect_uri") != "https://gw.example"+oidcCallback || set.SameSite != http.SameSiteLaxMode {
		t.Errorf("%s %v", to, set)
	}
	i.nonce, i.challenge = q.Get("nonce"), q.Get("code_challenge")
	return q.Get("state"), set.Value
}

func TestIssuer(t *testing.T) {
	i, b := newIssuer(t), newBench(t)
	if _, err := b.SetOIDC(nil, i.settings()); err != nil {
		t.Fatal(err)
	}
	i.claims = map[string]any{"preferred_username": "ada", "groups": []string{"all", "noc", "other"}}
	state, cookie := i.journey(t, b)
	session, err := b.FinishIssuer(t.Context(), state, "good", cookie)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.ask("GET", "/api/v1/status", "", "cookie="+session.Value).Body.String(); got != `{"name":"oidc:ada","role":"operator","by":"session"}` {
		t.Error(got)
	}
	if _, err := b.FinishIssuer(t.Context(), state, "good", cookie); err == nil {
		t.Error("a state is good twice")
	}
	b.want(409, b.ask("PUT", "/api/v1/account/password", `{}`, "cookie="+session.Value))
	if _, err := b.SetOIDC(nil, nil); err != nil {
		t.Fatal(err)
	}
	b.want(401, b.ask("GET", "/api/v1/status", "", "cookie="+session.Value))
}

func TestIssuerIsNotBelieved(t *testing.T) {
	i, b := newIssuer(t), newBench(t)
	if _, err := b.SetOIDC(nil, i.settings()); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		lie    func(map[string]any)
		code   string
		cookie string
		status int
	}{
		"no role":         {lie: func(c map[string]any) { c["groups"] = "strangers" }, status: 403},
		"no claim":        {lie: func(c map[string]any) { delete(c, "groups") }, status: 403},
		"another nonce":   {lie: func(c map[string]any) { c["nonce"] = "x" }, status: 401},
		"for others":      {lie: func(c map[string]any) { c["aud"] = "other" }, status: 401},
		"expired":         {lie: func(c map[string]any) { c["exp"] = 1 }, status: 401},
		"another issuer":  {lie: func(c map[string]any) { c["iss"] = "https://evil.example" }, status: 401},
		"a wrong code":    {code: "bad", status: 502},
		"another browser": {cookie: "x", status: 400},
	} {
		i.claims, i.lie = map[string]any{"groups": "boss"}, func(map[string]any) {}
		if c.lie != nil {
			i.lie = c.lie
		}
		state, cookie := i.journey(t, b)
		code := "good"
		if c.code != "" {
			code = c.code
		}
		if c.cookie != "" {
			cookie = c.cookie
		}
		_, err := b.FinishIssuer(t.Context(), state, code, cookie)
		if err == nil || AsRefusal(err).Status != c.status {
			t.Errorf("%s: %v", what, err)
		}
	}
	i.lie = func(map[string]any) {}
	state, cookie := i.journey(t, b)
	b.now = b.now.Add(issuerFor)
	if _, err := b.FinishIssuer(t.Context(), state, "good", cookie); err == nil {
		t.Error("a log in may take for ever")
	}
	i.Close()
	b.now = b.now.Add(describedFor)
	if _, _, err := b.StartIssuer(t.Context()); err == nil || !strings.Contains(err.Error(), "log in as a user of this network") {
		t.Errorf("an issuer that is away: %v", err)
	}
}

func TestIssuerSettings(t *testing.T) {
	good := OIDC{Issuer: "https://id.example", ClientID: "c", RedirectURL: "https://gw.example" + oidcCallback, RoleClaim: "groups", Roles: map[string]Role{"a": Admin}}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*OIDC){
		func(o *OIDC) { o.Issuer = "http://id.example" },
		func(o *OIDC) { o.Issuer = "::" },
		func(o *OIDC) { o.RedirectURL = "https://gw.example/elsewhere" },
		func(o *OIDC) { o.RedirectURL = "http://gw.example" + oidcCallback },
		func(o *OIDC) { o.Roles = nil },
		func(o *OIDC) { o.Roles = map[string]Role{"a": "king"} },
		func(o *OIDC) { o.ClientID = "" },
	} {
		bad := good
		change(&bad)
		if bad.Check() == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

func TestRoleOfClaims(t *testing.T) {
	o := OIDC{Roles: map[string]Role{"noc": Operator, "boss": Admin, "all": Viewer}}
	for claim, want := range map[string]Role{"": Nobody, "noc": Operator, "all noc": Operator, "boss all": Admin, "x y": Nobody} {
		if got := o.role(strings.Fields(claim)); got != want {
			t.Errorf("%q: %q", claim, got)
		}
	}
	if got := texts([]any{"a", 1, "b"}); strings.Join(got, " ") != "a b" {
		t.Error(got)
	}
}

// The settings are those of all nodes: a log in ends at the console where it began.
func TestTheWayBackLeadsToTheSameConsole(t *testing.T) {
	o := OIDC{RedirectURL: "https://{host}" + oidcCallback}
	if got := o.back("gw-b.example:8443"); got != "https://gw-b.example:8443"+oidcCallback {
		t.Errorf("%s", got)
	}
	o.Issuer, o.ClientID, o.RoleClaim, o.Roles = "https://id.example", "c", "groups", map[string]Role{"a": Admin}
	if err := o.Check(); err != nil {
		t.Error(err)
	}
	if o.RedirectURL = "https://{host}.evil/x"; o.Check() == nil {
		t.Error("another path is taken")
	}
}
