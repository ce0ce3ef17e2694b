package appliance

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestSilentAPI: an API that hangs costs the process its life, after a minute and not before; one that never answered does not.
func TestSilentAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var a ownAPI
		hangs := make(chan bool, 1)
		hung := false
		go func() {
			_ = a.askOneself(ctx, func(ctx context.Context) error {
				select {
				case hung = <-hangs:
				default:
				}
				if hung {
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			})
		}()
		synctest.Wait()
		time.Sleep(time.Hour)
		if !a.live(time.Now()) {
			t.Error("it answers")
		}
		hangs <- true
		time.Sleep(silentAPI - askOwnAPI)
		if !a.live(time.Now()) {
			t.Error("it was given less than a minute")
		}
		time.Sleep(3 * askOwnAPI)
		if a.live(time.Now()) {
			t.Error("it hangs, and is called alive")
		}
		hangs <- false
		time.Sleep(2 * askOwnAPI)
		if !a.live(time.Now()) {
			t.Error("it answers again")
		}
		cancel()
		synctest.Wait()
		var never ownAPI
		ctx, cancel = context.WithCancel(t.Context())
		go func() { _ = never.askOneself(ctx, func(context.Context) error { return errors.New("no such socket") }) }()
		time.Sleep(time.Hour)
		if !never.live(time.Now()) {
			t.Error("a socket that nobody serves says something about the process")
		}
		cancel()
	})
}
