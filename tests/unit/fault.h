/* fault.h - calls that fail at will: test_fault_*.c are linked so that these stand before libc's.
 */
#ifndef CREW_TESTS_FAULT_H
#define CREW_TESTS_FAULT_H

#include <stdbool.h>
#include <stddef.h>

enum fault_kind {
	FAULT_NONE,
	FAULT_MEMORY,     /* malloc, calloc, realloc, reallocarray: NULL */
	FAULT_SHORT,      /* send, sendmsg, sendfile: takes one byte */
	FAULT_SEND_AGAIN, /* the same: EAGAIN */
	FAULT_SEND_RESET, /* the same: ECONNRESET */
	FAULT_RECV_AGAIN,
	FAULT_RECV_RESET,
	FAULT_ACCEPT,         /* accept4: EMFILE */
	FAULT_LOOP,           /* epoll_ctl: ENOMEM */
	FAULT_RECVMMSG,       /* recvmmsg: ENOMEM */
	FAULT_SENDMMSG_AGAIN, /* sendmmsg: EAGAIN */
	FAULT_SENDMMSG_PERM,  /* the same: EPERM, as of a firewall */
	FAULT_SENDMMSG_PIECE, /* the same: EINVAL, as of a kernel that knows no UDP_SEGMENT */
	FAULT_SENDMMSG_ONE,   /* the same: takes one message of several */
	FAULT_SOCKET,         /* socket: EMFILE */
	FAULT_CONNECT,        /* connect: ENETUNREACH */
	FAULT_OPTION,         /* getsockopt: ENOBUFS */
	FAULT_THREAD,         /* pthread_create: EAGAIN */
	FAULT_KINDS
};

/* Let the n-th call of that kind (from 1) fail; `lasting`: and all that follow. FAULT_NONE ends it.
 */
void fault_set(enum fault_kind kind, unsigned n, bool lasting);
/* True when the n-th call was reached. */
bool fault_hit(void);
const char *fault_name(enum fault_kind kind);

#endif
