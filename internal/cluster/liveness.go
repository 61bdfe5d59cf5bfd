package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/ringcask/ringcask/ring"
)

// Liveness watches the other members of the cluster. It is safe for concurrent use.
type Liveness struct {
	opt Options
	// silence is for how long a living member may leave probes unanswered before it is suspect.
	silence time.Duration
	log     *logWriter
	// news tells Run that some record has changed; told that the condition has.
	news, told chan struct{}

	mu        sync.Mutex
	records   map[ring.NodeID]*record // its keys never change
	condition Condition
}

// New prepares the watch. It starts nothing. Errors: what is wrong with the options.
func New(o Options) (*Liveness, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	l := &Liveness{
		opt: o, log: newLogWriter(o.Logger), records: make(map[ring.NodeID]*record),
		news: make(chan struct{}, 1), told: make(chan struct{}, 1),
	}
	l.silence = suspectRounds*time.Duration(max(1, len(o.Members)-1))*o.ProbeInterval + o.ProbeTimeout
	now := time.Now()
	for _, p := range o.Members {
		if p.ID != o.Self {
			l.records[p.ID] = &record{Member: Member{ID: p.ID, Since: now}}
		}
	}
	return l, nil
}

// Member is what is known of another member; false for this node and for who is no member.
func (l *Liveness) Member(id ring.NodeID) (Member, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.records[id]
	if !ok {
		return Member{}, false
	}
	return r.Member, true
}

// Members are all other members, in the order of the member list.
func (l *Liveness) Members() []Member {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]Member, 0, len(l.records))
	for _, p := range l.opt.Members {
		if r, ok := l.records[p.ID]; ok {
			all = append(all, r.Member)
		}
	}
	return all
}

// Alive says whether the member seems to be alive, or is only suspect. This node itself always is.
func (l *Liveness) Alive(id ring.NodeID) bool {
	m, ok := l.Member(id)
	return ok && (m.State == Alive || m.State == Suspect) || id == l.opt.Self
}

// SetCondition tells the other members how this one is. It returns at once.
func (l *Liveness) SetCondition(c Condition) {
	l.mu.Lock()
	changed := l.condition != c
	l.condition = c
	l.mu.Unlock()
	if changed {
		signal(l.told)
	}
}

// Run joins the members and watches them until ctx is done; then it says that this node leaves. It returns nil after
// ctx is done, or why the port cannot be listened on. It may be called once.
func (l *Liveness) Run(ctx context.Context) error {
	config, err := l.config(ctx)
	if err != nil {
		return err
	}
	list, err := l.create(config)
	if err != nil {
		return fmt.Errorf("cluster: listen on %s: %w", l.opt.BindAddr, err)
	}
	var running sync.WaitGroup
	running.Go(func() { l.joinLoop(ctx, list) })
	running.Go(func() { l.tellLoop(ctx, list) })
	running.Go(func() { l.judgeLoop(ctx) })
	<-ctx.Done()
	running.Wait()
	if err := list.Leave(l.opt.LeaveTimeout); err != nil {
		l.opt.Logger.Debug("gossip: cannot say that this node leaves", "error", err)
	}
	return list.Shutdown()
}

func (l *Liveness) create(config *memberlist.Config) (*memberlist.Memberlist, error) {
	if l.opt.Transport == nil {
		return memberlist.Create(config)
	}
	var err error
	if config.Transport, err = l.opt.Transport(); err != nil {
		return nil, err
	}
	list, err := memberlist.Create(config)
	if err != nil {
		err = errors.Join(err, config.Transport.Shutdown())
	}
	return list, err
}

// config is memberlist's.
func (l *Liveness) config(ctx context.Context) (*memberlist.Config, error) {
	bindHost, bindPort, err := splitAddr(l.opt.BindAddr)
	if err != nil {
		return nil, err
	}
	host, port, err := splitAddr(l.opt.self().Addr)
	if err != nil {
		return nil, err
	}
	bindIP, err := resolve(ctx, bindHost)
	if err != nil {
		return nil, err
	}
	ip, err := resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	c := memberlist.DefaultLANConfig()
	c.Name = string(l.opt.Self)
	c.BindAddr, c.BindPort, c.AdvertiseAddr, c.AdvertisePort = bindIP, bindPort, ip, port
	c.Label = fmt.Sprintf("ringcask-%016x", l.opt.Fingerprint)
	c.SecretKey = l.opt.SecretKey
	c.ProbeInterval, c.ProbeTimeout = l.opt.ProbeInterval, l.opt.ProbeTimeout
	c.GossipInterval = l.opt.GossipInterval
	c.SuspicionMult = suspicionMult
	c.DeadNodeReclaimTime = l.opt.ReclaimAfter
	c.TCPTimeout = l.opt.RejoinInterval
	c.EnableCompression = false // messages are small, and each would cost the compressor's tables
	c.LogOutput = l.log
	d := delegate{l}
	c.Delegate, c.Events, c.Alive, c.Ping = d, d, d, d
	return c, nil
}

func splitAddr(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil {
		err = fmt.Errorf("cluster: address %q: %w", addr, err)
	}
	return host, port, err
}

// resolve is the address of a host as memberlist wants its own: an IP address.
func resolve(ctx context.Context, host string) (string, error) {
	if host == "" {
		return net.IPv6zero.String(), nil
	}
	if net.ParseIP(host) != nil {
		return host, nil
	}
	addrs, err := net.DefaultResolver.LookupIP(ctx, "ip", host)
	if err != nil {
		return "", fmt.Errorf("cluster: resolve %s: %w", host, err)
	}
	for _, ip := range addrs {
		if ip.To4() != nil {
			return ip.String(), nil
		}
	}
	return addrs[0].String(), nil
}

// joinLoop joins the members that are not alive, now and again.
func (l *Liveness) joinLoop(ctx context.Context, list *memberlist.Memberlist) {
	tick := time.NewTicker(l.opt.RejoinInterval)
	defer tick.Stop()
	for {
		l.join(ctx, list)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// join tries every missing member at once: one that does not answer must not hold up the others.
func (l *Liveness) join(ctx context.Context, list *memberlist.Memberlist) {
	var joining sync.WaitGroup
	for _, p := range l.opt.Members {
		if ctx.Err() != nil || p.ID == l.opt.Self || l.Alive(p.ID) {
			continue
		}
		joining.Go(func() {
			if _, err := list.Join([]string{p.Addr}); err != nil {
				l.opt.Logger.Debug("gossip: cannot join a member", "member", p.ID, "addr", p.Addr, "error", err)
			}
		})
	}
	joining.Wait()
}

// tellLoop spreads this node's condition when it has changed.
func (l *Liveness) tellLoop(ctx context.Context, list *memberlist.Memberlist) {
	for {
		select {
		case <-l.told:
			// Where there is nobody yet to tell, a join will.
			_ = list.UpdateNode(l.opt.ProbeInterval)
		case <-ctx.Done():
			return
		}
	}
}

// judgeLoop draws every member's state anew when there is news, or time has passed, and reports what has changed.
func (l *Liveness) judgeLoop(ctx context.Context) {
	tick := time.NewTicker(l.opt.ProbeInterval)
	defer tick.Stop()
	for {
		select {
		case <-l.news:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, m := range l.judge(time.Now()) {
			l.opt.Logger.Info("gossip: a member has changed", "member", m.ID, "state", m.State.String(),
				"condition", m.Condition.String(), "incarnation", m.Incarnation)
			l.opt.Changed(m)
		}
	}
}

// judge returns the members that have changed since it was last called.
func (l *Liveness) judge(now time.Time) (changed []Member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.opt.Members {
		r, ok := l.records[p.ID]
		if !ok {
			continue
		}
		r.judge(now, l.silence)
		if r.changed {
			r.changed = false
			changed = append(changed, r.Member)
		}
	}
	return changed
}

// signal tells a goroutine that there is something to do; it may have been told already.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
