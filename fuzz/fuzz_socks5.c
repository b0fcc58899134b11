/* fuzz_socks5.c - what a SOCKS proxy answers: the same by one byte as whole, and an end in bounds.
 * The first byte says whether there is a user. */
#include "fuzz.h"
#include "fuzz_preamble.h"

#include "proto/socks5.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool login = take_byte(&data, &size) % 2;
	check_preamble(&crew__socks5, login, (const char *)data, size);
	return 0;
}
