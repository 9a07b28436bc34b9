package cobra

import "context"

type Command struct{}

func (*Command) Context() context.Context { return nil }
