package wire

// SetMessageBytesMax changes how long a message may be that is received from now on: little from who has not yet said
// who it is, more afterwards. It must be called from onMessage, or before Run. What may be sent stays as it was.
func (l *Link) SetMessageBytesMax(n int) { l.in.opts.MessageBytesMax = min(n, frameBytesLimit) }
