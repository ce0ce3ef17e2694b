package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) certificateCommand() *cobra.Command {
	cmd := reads(t, &cobra.Command{Use: "certificate", Short: "The certificate that browsers are shown, and its fingerprint"}, reading[web.Certificate]{path: "certificate", show: showCertificate})
	var authority web.ACMERequest
	acme := t.acting("acme HOST", "Have an ACME authority give certificates; this agrees to its terms", 1, func(ctx context.Context, c *client.Client, args []string) error {
		authority.Hosts = strings.Split(args[0], ",")
		return t.showNew(c.SetACME(ctx, authority))
	})
	acme.Flags().StringVar(&authority.Email, "email", "", "whom the authority tells that something is wrong")
	acme.Flags().StringVar(&authority.Directory, "directory", "", "URL of the authority; Let's Encrypt when left out")
	set := t.acting("set CERTIFICATE KEY", "Replace the certificate by PEM files: the certificate with its chain, and the key", 2, func(ctx context.Context, c *client.Client, args []string) error {
		chain, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		key, err := os.ReadFile(args[1])
		if err != nil {
			return err
		}
		return t.showNew(c.SetCertificate(ctx, web.CertificateRequest{Certificate: string(chain), PrivateKey: string(key)}))
	})
	set.ValidArgsFunction = nil // files
	cmd.AddCommand(set, acme, t.acting("renew", "Make a new certificate that is signed by itself", 0, func(ctx context.Context, c *client.Client, _ []string) error {
		return t.showNew(c.RenewCertificate(ctx))
	}))
	return cmd
}

func (t *tool) showNew(shown web.Certificate, err error) error {
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "shown from now on: %s, until %s\nSHA-256 %s\n", shown.Subject, shown.NotAfter.Format("2006-01-02"), shown.Fingerprint)
	return nil
}

func showCertificate(_ context.Context, _ *client.Client, p *page, c web.Certificate) error {
	by := c.Issuer
	if c.SelfSigned {
		by = "itself: compare the fingerprint"
	}
	if c.ACME {
		by += "; an ACME authority is asked for another one"
	}
	tab := newTable("CERTIFICATE", "")
	tab.row("SHA-256", as(strong, c.Fingerprint))
	tab.row("for", list(c.Names))
	tab.row("signed by", by)
	tab.row("ends", p.left(c.NotAfter))
	tab.row("key", c.Key)
	p.add(tab, "")
	return nil
}

func (t *tool) auditCommand() *cobra.Command {
	return reads(t, &cobra.Command{Use: "audit", Short: "The latest changes that somebody made or tried on this peer"}, reading[[]web.AuditRecord]{path: "audit", show: showAudit})
}

func showAudit(_ context.Context, _ *client.Client, p *page, records []web.AuditRecord) error {
	tab := newTable(">AGO", "WHO", "FROM", ">STATUS", "WHAT", "REASON")
	for _, r := range records {
		state := as(good, fmt.Sprint(r.Status))
		if r.Status >= 400 {
			state = as(bad, fmt.Sprint(r.Status))
		}
		tab.row(p.since(r.Time), as(strong, r.Who), r.From, state, r.Method+" "+r.Path, r.Reason)
	}
	p.add(tab, "nobody changed anything yet: whatever is changed or tried on this peer is shown here")
	return nil
}
