/* ws_keys.c - the masking keys of what a client sends: unpredictable, each used once (RFC
 * 6455 10.3: who chooses the payload must not be able to choose the bytes on the wire). They are
 * drawn from the kernel 64 at a time, as a call for each message would cost more than the message.
 */
#include "proto/ws.h"

#include <string.h>
#include <sys/random.h>

int crew__ws_key_draw(struct crew__ws_keys *keys, uint32_t *ret_key)
{
	if (keys->left < sizeof(*ret_key)) {
		ssize_t n;
		do
			n = getrandom(keys->bytes, sizeof(keys->bytes), 0);
		while (n < 0 && errno == EINTR);
		if (n < (ssize_t)sizeof(*ret_key))
			return n < 0 ? -errno : -EIO;
		keys->left = (unsigned)n / sizeof(*ret_key) * sizeof(*ret_key);
	}
	keys->left -= (unsigned)sizeof(*ret_key);
	memcpy(ret_key, keys->bytes + keys->left, sizeof(*ret_key));
	memset(keys->bytes + keys->left, 0, sizeof(*ret_key));
	return 0;
}
