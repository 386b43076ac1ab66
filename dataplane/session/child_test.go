package session_test

const childEnv = "XSEND_SESSION_TEST_CHILD"

func childMain(args string) int { return 2 }
