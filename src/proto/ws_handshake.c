/* ws_handshake.c - the two small things of RFC 6455 that are not frames: the answer to a key and
 * the close codes. Not here: the handshake's fields, which http1_head.c picks out of the request,
 * nor what is answered to a wrong one. */
#include "proto/ws.h"

#include <openssl/evp.h>
#include <string.h>

enum {
	KEY_SIZE = 24,    /* 16 bytes in base64 */
	KEY_PADDING = 2,  /* ... of which the last two characters stand for nothing */
	DIGEST_SIZE = 20, /* SHA-1 */
	ACCEPT_SIZE = 28, /* the digest in base64 */
};

static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

bool crew__ws_code_valid(unsigned code)
{
	if (code >= 3000)
		return code <= 4999;
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

static bool is_base64(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '+' || c == '/';
}

/* The unused bits of the last character are not looked at: the text is hashed, never decoded. */
static bool is_key(crew_bytes key)
{
	if (key.len != KEY_SIZE)
		return false;
	for (size_t i = 0; i < KEY_SIZE - KEY_PADDING; i++)
		if (!is_base64((unsigned char)key.data[i]))
			return false;
	return key.data[KEY_SIZE - 2] == '=' && key.data[KEY_SIZE - 1] == '=';
}

bool crew__ws_accept(crew_bytes key, char ret_accept[29])
{
	if (!is_key(key))
		return false;
	char text[KEY_SIZE + sizeof(guid) - 1];
	memcpy(text, key.data, KEY_SIZE);
	memcpy(text + KEY_SIZE, guid, sizeof(guid) - 1);

	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned size = 0;
	if (EVP_Digest(text, sizeof(text), digest, &size, EVP_sha1(), NULL) != 1)
		return false;
	unsigned char encoded[ACCEPT_SIZE + 1];
	EVP_EncodeBlock(encoded, digest, DIGEST_SIZE);
	memcpy(ret_accept, encoded, sizeof(encoded));
	return true;
}
