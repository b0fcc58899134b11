/* tls_context_ocsp.c - an OCSP answer that is stapled to a certificate: read and checked.
 *
 * Clients that want one break the handshake over a bad one, and do well without any. So what does
 * not parse, speaks of another certificate or is over is refused while it is being set, and not
 * sent any more once it is over. The responder's signature is what clients look at; it is not
 * checked here, because the responder's certificate need not be in our chain. */
#include "net/tls_context.h"

#include "net/tls_context_parts.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdlib.h>

enum {
	CLOCKS_DIFFER_S = 300
};

/* Without the issuer's certificate at hand its name and the serial number have to do. */
static bool is_about(OCSP_CERTID *about, const struct crew__tls_identity *identity)
{
	ASN1_OCTET_STRING *name_hash, *key_hash;
	ASN1_OBJECT *kind;
	ASN1_INTEGER *serial;
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned size = 0;
	if (!OCSP_id_get0_info(&name_hash, &kind, &key_hash, &serial, about))
		return false;
	const EVP_MD *digest = EVP_get_digestbyobj(kind);
	if (!digest || ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(identity->cert)) != 0)
		return false;
	if (X509_NAME_digest(X509_get_issuer_name(identity->cert), digest, hash, &size) != 1 ||
		ASN1_STRING_length(name_hash) != (int)size ||
		memcmp(ASN1_STRING_get0_data(name_hash), hash, size) != 0)
		return false;
	X509 *issuer = sk_X509_num(identity->chain) > 0 ? sk_X509_value(identity->chain, 0) : NULL;
	if (!issuer)
		return true;
	return X509_pubkey_digest(issuer, digest, hash, &size) == 1 &&
	       ASN1_STRING_length(key_hash) == (int)size &&
	       memcmp(ASN1_STRING_get0_data(key_hash), hash, size) == 0;
}

static OCSP_SINGLERESP *find_about(OCSP_BASICRESP *basic, const struct crew__tls_identity *identity)
{
	for (int i = 0; i < OCSP_resp_count(basic); i++) {
		OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
		/* The library only reads it, in spite of its type. */
		OCSP_CERTID *about = (OCSP_CERTID *)(uintptr_t)OCSP_SINGLERESP_get0_id(single);
		if (is_about(about, identity))
			return single;
	}
	return NULL;
}

static int check_single(struct crew__tls_identity *identity, OCSP_SINGLERESP *single,
	const char *name, const struct crew__tls_error *error)
{
	ASN1_GENERALIZEDTIME *from = NULL, *until = NULL;
	int verdict = OCSP_single_get0_status(single, NULL, NULL, &from, &until);
	if (verdict != V_OCSP_CERTSTATUS_GOOD)
		return crew__tls_refuse(error,
			"%s says that the certificate in %s is %s; have a new certificate issued",
			name, identity->name,
			verdict == V_OCSP_CERTSTATUS_REVOKED ? "revoked" : "not known");
	if (OCSP_check_validity(from, until, CLOCKS_DIFFER_S, -1) != 1)
		return crew__tls_refuse(error,
			"%s is over, or not valid yet; fetch a new OCSP answer for %s", name,
			identity->name);
	identity->ocsp_until = crew__tls_time(until);
	return 0;
}

static int check_answer(struct crew__tls_identity *identity, OCSP_RESPONSE *answer,
	const char *name, const struct crew__tls_error *error)
{
	if (OCSP_response_status(answer) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
		return crew__tls_refuse(error,
			"%s is a responder's refusal (%s); fetch a new OCSP answer", name,
			OCSP_response_status_str(OCSP_response_status(answer)));
	OCSP_BASICRESP *basic = OCSP_response_get1_basic(answer);
	if (!basic)
		return crew__tls_refuse(
			error, "%s is an OCSP answer of an unknown kind; fetch a basic one", name);
	OCSP_SINGLERESP *single = find_about(basic, identity);
	int status =
		single ? check_single(identity, single, name, error)
		       : crew__tls_refuse(error,
				 "%s is about another certificate than that in %s; give them in "
				 "the same order, with - for none",
				 name, identity->name);
	OCSP_BASICRESP_free(basic);
	return status;
}

int crew__tls_identity_staple(struct crew__tls_identity *identity, crew_bytes answer,
	const char *name, const struct crew__tls_error *error)
{
	if (answer.len > CREW__TLS_OCSP_MOST)
		return crew__tls_refuse(error,
			"%s has %zu bytes, which is too long for an OCSP answer; the most is %d",
			name, answer.len, CREW__TLS_OCSP_MOST);
	const unsigned char *at = (const unsigned char *)answer.data;
	OCSP_RESPONSE *parsed = d2i_OCSP_RESPONSE(NULL, &at, (long)answer.len);
	bool whole = parsed && at == (const unsigned char *)answer.data + answer.len;
	int status =
		whole ? check_answer(identity, parsed, name, error)
		      : crew__tls_refuse(error,
				"%s is no OCSP answer; it must be DER, as `openssl ocsp -respout` "
				"writes it",
				name);
	OCSP_RESPONSE_free(parsed);
	if (status < 0)
		return status;
	identity->ocsp = malloc(answer.len);
	if (!identity->ocsp)
		return -ENOMEM;
	memcpy(identity->ocsp, answer.data, answer.len);
	identity->ocsp_size = answer.len;
	return 0;
}
