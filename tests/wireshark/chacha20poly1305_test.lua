-- The vectors of RFC 8439 and its appendix, in the Lua of Wireshark. Prints a line for each; "wrong" in it is a failure.
local folder = debug.getinfo(1, "S").source:match("^@(.*[/\\])")
local aead = dofile(folder .. "../../tools/wireshark/chacha20poly1305.lua")

local function raw(hex)
  return (hex:gsub("%s", ""):gsub("%x%x", function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

local function check(name, got, expected)
  print(("%s: %s"):format(name, got == expected and "right" or "wrong"))
end

local counting_key = raw("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
check("2.3.2 ChaCha20 block", aead.chacha20(counting_key, raw("000000090000004a00000000"), 1, ("\0"):rep(64)),
  raw([[10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e
        d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e]]))

local sunscreen = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
  .. "sunscreen would be it."
check("2.4.2 ChaCha20 cipher", aead.chacha20(counting_key, raw("000000000000004a00000000"), 1, sunscreen),
  raw([[6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0b
        f91b65c5524733ab8f593dabcd62b3571639d624e65152ab8f530c359f0861d8
        07ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab7793736
        5af90bbf74a35be6b40b8eedf2785e42874d]]))

local key = raw("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f")
local nonce = raw("070000004041424344454647")
local associated = raw("50515253c0c1c2c3c4c5c6c7")
local sealed = raw([[d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6
                     3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36
                     92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc
                     3ff4def08e4b7a9de576d26586cec64b6116]])
local tag = raw("1ae10b594f09e26a7e902ecbd0600691")
check("2.8.2 AEAD", aead.open(key, nonce, associated, sealed, tag), sunscreen)
check("2.8.2 AEAD, a wrong bit in the text", aead.open(key, nonce, associated, "\0" .. sealed:sub(2), tag), nil)
check("2.8.2 AEAD, a wrong bit in the header", aead.open(key, nonce, "\0" .. associated:sub(2), sealed, tag), nil)
check("2.8.2 AEAD, a wrong tag", aead.open(key, nonce, associated, sealed, ("\0"):rep(16)), nil)

-- Appendix A.3: where the sum wraps around 2^130 - 5, or its limbs carry all the way.
local zeros = ("00"):rep(16)
local function poly(number, r, s, text, expected)
  check(("A.3 Poly1305, %d"):format(number), aead.poly1305(raw(r .. s), raw(text)), raw(expected))
end
local all_ones = ("ff"):rep(16)
poly(1, zeros, zeros, ("00"):rep(64), zeros)
poly(7, "02" .. ("00"):rep(15), zeros, all_ones, "03" .. ("00"):rep(15))
poly(8, "02" .. ("00"):rep(15), all_ones, "02" .. ("00"):rep(15), "03" .. ("00"):rep(15))
poly(9, "01" .. ("00"):rep(15), zeros, all_ones .. "f0" .. ("ff"):rep(15) .. "11" .. ("00"):rep(15), "05" .. ("00"):rep(15))
poly(10, "01" .. ("00"):rep(15), zeros, all_ones .. "fb" .. ("fe"):rep(15) .. ("01"):rep(16), zeros)
poly(11, "02" .. ("00"):rep(15), zeros, "fd" .. ("ff"):rep(15), "fa" .. ("ff"):rep(15))
poly(12, "01" .. ("00"):rep(7) .. "04" .. ("00"):rep(7), zeros,
  "e33594d7505e43b900000000000000003394d7505e4379cd01000000000000000000000000000000000000000000000001000000000000000000000000000000",
  "14000000000000005500000000000000")
poly(13, "01" .. ("00"):rep(7) .. "04" .. ("00"):rep(7), zeros,
  "e33594d7505e43b900000000000000003394d7505e4379cd010000000000000000000000000000000000000000000000",
  "13" .. ("00"):rep(15))
