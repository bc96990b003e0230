{
  'variables': {
    'simdjson_dir%': '<!(node -p "require(\'path\').join(require(\'path\').dirname(require.resolve(\'simdjson/package.json\')), \'src\')")',
    'napi_dir%': '<!(node -p "require(\'node-addon-api\').include_dir")',
  },
  'target_defaults': {
    'cflags!': ['-O2', '-g'],
    'cflags_cc!': ['-O2', '-g', '-std=gnu++14', '-std=gnu++17', '-std=gnu++20'],
    'cflags': ['-O3', '-Wall', '-Wextra', '-fvisibility=hidden'],
  },
  'targets': [
    {
      'target_name': 'switchyard',
      'sources': ['addon.cc', 'canonical.cc', 'doorbell.cc', 'scan-core.cc', 'scan-judge.cc', 'scan-uri.cc', 'tokens.cc', 'uws-reads.cc', 'simdjson-kernels.cc'],
      'include_dirs': ['<(napi_dir)', '<(simdjson_dir)'],
      'defines': ['NAPI_VERSION=8', 'NAPI_DISABLE_CPP_EXCEPTIONS', 'NODE_ADDON_API_DISABLE_DEPRECATED', 'SIMDJSON_EXCEPTIONS=0'],
      'cflags_cc': ['-std=c++17', '-fno-exceptions', '-fno-rtti'],
      'xcode_settings': {
        'CLANG_CXX_LANGUAGE_STANDARD': 'c++17',
        'GCC_OPTIMIZATION_LEVEL': '3',
        'MACOSX_DEPLOYMENT_TARGET': '11.0',
      },
    },
    {
      'target_name': 'switchyard-launcher',
      'type': 'executable',
      'sources': ['launcher.c'],
      'cflags': ['-std=gnu11'],
    },
  ],
}
