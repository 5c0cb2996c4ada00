/** Names that C, its compilers and the headers that sources include have taken. */

const KEYWORDS =
  'auto break case char const continue default do double else enum extern float for goto if inline int long register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while alignas alignof bool constexpr false nullptr static_assert thread_local true typeof typeof_unqual asm _Alignas _Alignof _Atomic _Bool _Complex _Generic _Imaginary _Noreturn _Static_assert _Thread_local'.split(
    ' ',
  )

/** Macros: also a variable cannot have their names. Some compilers define the names of their system, as they are. */
const MACROS =
  'NULL offsetof unreachable NAN INFINITY SNAN SNANF SNANL HUGE HUGE_VAL HUGE_VALF HUGE_VALL MAXFLOAT DOMAIN SING OVERFLOW UNDERFLOW PLOSS TLOSS X_TLOSS MATH_ERRNO MATH_ERREXCEPT math_errhandling FP_NAN FP_INFINITE FP_ZERO FP_SUBNORMAL FP_NORMAL FP_ILOGB0 FP_ILOGBNAN FP_LLOGB0 FP_LLOGBNAN FP_FAST_FMA FP_FAST_FMAF FP_FAST_FMAL FP_INT_UPWARD FP_INT_DOWNWARD FP_INT_TOWARDZERO FP_INT_TONEAREST FP_INT_TONEARESTFROMZERO fpclassify isfinite isinf isnan isnormal signbit isgreater isgreaterequal isless islessequal islessgreater isunordered iscanonical issignaling issubnormal iszero iseqsig strdupa strndupa linux unix i386 sun sparc mips PPC arm WIN32 WIN64 WINNT __FILE__ __LINE__ __DATE__ __TIME__ __func__ __STDC__ __STDC_VERSION__ __STDC_HOSTED__ __linux__ __unix__ __linux __unix __GNUC__ __clang__ __x86_64__ __APPLE__ __COUNTER__ __VERSION__'.split(
    ' ',
  )

const CONSTANTS = '1_PI 2_PI 2_SQRTPI E LN10 LN2 LOG10E LOG2E PI PI_2 PI_4 SQRT1_2 SQRT2'
  .split(' ')
  .flatMap((name) => ['', 'f', 'l'].map((suffix) => `M_${name}${suffix}`))

const WIDTHS = ['8', '16', '32', '64']
const KINDS = [
  ...['', '_LEAST', '_FAST'].flatMap((kind) => WIDTHS.map((width) => kind + width)),
  'MAX',
  'PTR',
]

const LIMITS = [
  ...KINDS.flatMap((kind) => [`INT${kind}`, `UINT${kind}`]),
  'PTRDIFF',
  'SIG_ATOMIC',
  'SIZE',
  'WCHAR',
  'WINT',
].flatMap((name) => ['MIN', 'MAX', 'WIDTH', 'C'].map((what) => `${name}_${what}`))

const TYPES = [
  ...KINDS.flatMap((kind) => [`int${kind.toLowerCase()}_t`, `uint${kind.toLowerCase()}_t`]),
  ...'size_t ptrdiff_t wchar_t max_align_t nullptr_t float_t double_t'.split(' '),
]

/** Functions of double in math.h; those of float and of long double have a letter behind these names. */
const MATH =
  'acos acosh asin asinh atan atan2 atanh canonicalize cbrt ceil copysign cos cosh drem erf erfc exp exp10 exp2 expm1 fabs fdim finite floor fma fmax fmaximum fmaximum_mag fmaximum_mag_num fmaximum_num fmaxmag fmin fminimum fminimum_mag fminimum_mag_num fminimum_num fminmag fmod frexp fromfp fromfpx gamma getpayload hypot ilogb isinf isnan j0 j1 jn ldexp lgamma llogb llrint llround log log10 log1p log2 logb lrint lround modf nan nearbyint nextafter nextdown nexttoward nextup pow remainder remquo rint round roundeven scalb scalbln scalbn setpayload setpayloadsig significand sin sincos sinh sqrt tan tanh tgamma totalorder totalordermag trunc ufromfp ufromfpx y0 y1 yn acospi asinpi atan2pi atanpi compoundn cospi exp10m1 exp2m1 log10p1 log2p1 logp1 pown powr rootn rsqrt sinpi tanpi'.split(
    ' ',
  )

/** Functions that compilers know without a header, and those of string.h. */
const OTHERS =
  'signgam lgamma_r lgammaf_r lgammal_r fadd faddl daddl fsub fsubl dsubl fmul fmull dmull fdiv fdivl ddivl ffma ffmal dfmal fsqrt fsqrtl dsqrtl abs labs llabs div ldiv lldiv imaxabs imaxdiv abort exit _exit _Exit malloc calloc realloc free alloca aligned_alloc printf fprintf sprintf snprintf vprintf vfprintf vsprintf vsnprintf scanf fscanf sscanf vscanf vfscanf vsscanf puts putchar fputs fputc fwrite putc printf_unlocked fprintf_unlocked puts_unlocked putchar_unlocked fputs_unlocked fputc_unlocked fwrite_unlocked isalnum isalpha isascii isblank iscntrl isdigit isgraph islower isprint ispunct isspace isupper isxdigit toascii tolower toupper iswalnum iswalpha iswblank iswcntrl iswdigit iswgraph iswlower iswprint iswpunct iswspace iswupper iswxdigit towlower towupper cabs cacos cacosh carg casin casinh catan catanh ccos ccosh cexp cimag clog clog10 conj cpow cproj creal csin csinh csqrt ctan ctanh cexpi pow10 execl execle execlp execv execve execvp fork ffs ffsl ffsll gettext dcgettext dgettext strfmon strftime basename bcmp bcopy bzero explicit_bzero index rindex memccpy memchr memcmp memcpy memfrob memmem memmove mempcpy memrchr memset memset_explicit rawmemchr stpcpy stpncpy strcasecmp strcasecmp_l strcasestr strcat strchr strchrnul strcmp strcoll strcoll_l strcpy strcspn strdup strerror strerror_l strerror_r strerrordesc_np strerrorname_np strfry strlcat strlcpy strlen strncasecmp strncasecmp_l strncat strncmp strncpy strndup strnlen strpbrk strrchr strsep strsignal sigabbrev_np sigdescr_np strspn strstr strtok strtok_r strverscmp strxfrm strxfrm_l'.split(
    ' ',
  )

/** What nothing within a function may be called. */
export const C_WORDS: readonly string[] = [...KEYWORDS, ...MACROS, ...CONSTANTS, ...LIMITS]

/** What no function may be called either: within one, another value may have the name. */
export const C_LIBRARY: readonly string[] = [
  ...TYPES,
  ...OTHERS,
  ...MATH.flatMap((name) => ['', 'f', 'l'].map((suffix) => `${name}${suffix}`)),
]
